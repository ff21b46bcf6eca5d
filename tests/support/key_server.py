"""A server of public keys for tests, and the JWK sets that it serves."""

import json
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa


def jwk(key: Any, **members: Any) -> dict[str, Any]:
    """Return the public key as a member of a JWK set. Members given as None are omitted."""
    if isinstance(key, rsa.RSAPrivateKey):
        made = jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
    elif isinstance(key, ec.EllipticCurvePrivateKey):
        made = jwt.algorithms.ECAlgorithm.to_jwk(key.public_key(), as_dict=True)
    else:
        made = jwt.algorithms.OKPAlgorithm.to_jwk(key.public_key(), as_dict=True)
    return {name: value for name, value in {**made, **members}.items() if value is not None}


def key_set(*keys: Any) -> bytes:
    return json.dumps({"keys": list(keys)}).encode()


class JwksServer:
    """An HTTP or HTTPS server on loopback that can misbehave, be stopped, and be started again on its port."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls
        self.body = b""
        self.status = 200
        self.headers: dict[str, str] = {}
        self.delay = 0.0
        self.drip = 0.0
        self.requests = 0
        self.answering = threading.Event()
        self.answering.set()
        self._port = 0
        self._gone = threading.Event()
        self._server: ThreadingHTTPServer | None = None

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self._port}/jwks"

    def start(self) -> None:
        outer = self
        self._gone.clear()

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.answer(self)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", self._port), Handler)
        self._port = self._server.server_address[1]
        if self._tls is not None:
            # TLS handshakes are done in the thread of each connection, so that a slow one does not block the accepting
            # thread.
            self._server.socket = self._tls.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def stop(self) -> None:
        self._gone.set()
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        self.requests += 1
        self.answering.wait()
        self._gone.wait(self.delay) if self.delay else None
        try:
            handler.send_response(self.status)
            for name, value in self.headers.items():
                handler.send_header(name, value)
            handler.end_headers()
            if not self.drip:
                handler.wfile.write(self.body)
                return
            for i in range(len(self.body)):
                handler.wfile.write(self.body[i : i + 1])
                self._gone.wait(self.drip)
        except OSError:
            pass  # the client has closed the connection
