"""The second WebSocket listener: accepts connections, reads the requests of their handshakes, and passes them to
SocketGate."""

import asyncio
import ssl
from collections.abc import Sequence
from typing import Any, Final

import msgspec
import structlog

from adapters.picows.frames import FrameCache
from adapters.picows.request_head import END, MAX_HEAD_BYTES, HandshakeInvalid, RequestHead, read_head
from adapters.picows.response import respond
from adapters.picows.send_buffer import Writes
from adapters.picows.settings import SocketListenerSettings
from adapters.picows.socket import PicowsSocket
from adapters.web.find_address import find_address, user_in_url
from adapters.web.origins_and_hosts import Hosts
from adapters.web.refusals import HEADERS_TOO_LARGE, HOST_REFUSED, NOT_FOUND, HandshakeRefusal
from adapters.web.serve_socket import SocketGate
from application.live.addresses import Address
from application.ports.service import Phase, Service
from application.routes_in_force import RoutesInForce
from domain.public_url import PublicUrl

log = structlog.get_logger(__name__)


class ListenerPolicy(msgspec.Struct, frozen=True):
    """Timings of the second listener.

    A client must have sent its request within `handshake_timeout_s`, as long as for the first frame with a token. Every
    `check_interval_s`, plain clients are checked (see PicowsSocket.check_alive): one from which nothing has arrived is
    sent a ping after 20 to 40 s, and its connection is aborted after 60 to 80 s. `check_batch` of them are checked
    without a pause for other tasks.
    """

    handshake_timeout_s: float = 5.0
    check_interval_s: float = 20.0
    check_batch: int = 500


DEFAULT: Final = ListenerPolicy()


def load_certificate(settings: SocketListenerSettings) -> ssl.SSLContext | None:
    """Returns the TLS context with the certificate of the settings; None if they name none. Raises ValueError if its
    files can't be read."""
    if settings.certificate is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(settings.certificate, settings.key)
    except (OSError, ssl.SSLError) as error:
        raise ValueError(
            f"HERALD_SOCKET_CERTIFICATE {settings.certificate}, HERALD_SOCKET_KEY {settings.key or 'not set'}: {error}"
        ) from None
    return context


class SocketListener(Service):
    """Serves WebSockets on a port of its own, at the same addresses as the main port."""

    name = "socket listener"
    phase = Phase.CLIENTS

    def __init__(
        self,
        gate: SocketGate,
        routes: RoutesInForce,
        addresses: Sequence[Address],
        hosts: Hosts,
        public_url: PublicUrl,
        settings: SocketListenerSettings,
        host: str,
        main_port: int,
        backlog: int,
        policy: ListenerPolicy = DEFAULT,
    ) -> None:
        """`host` is the IP address to listen on, `main_port` the port of HTTP requests there, and `backlog` the number
        of connections that may wait to be accepted. Raises ValueError if the certificate can't be read."""
        self._gate = gate
        self._routes = routes
        self._addresses = addresses
        self._hosts = hosts
        self._public_url = public_url
        self._settings = settings
        self._host = host
        self.main_port = main_port
        self._backlog = backlog
        self.policy = policy
        self._tls = load_certificate(settings)
        self._cache = FrameCache()
        self._writes = Writes()
        self._server: asyncio.Server | None = None
        self._serving: dict[asyncio.Task[None], PicowsSocket] = {}
        self._checking: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._server = await asyncio.get_running_loop().create_server(
            lambda: _Request(self),
            self._host,
            self._settings.port,
            backlog=self._backlog,
            reuse_port=True,
            ssl=self._tls,
            ssl_handshake_timeout=self.policy.handshake_timeout_s if self._tls else None,
        )
        self._checking = asyncio.create_task(self._check_alive(), name=self.name)
        log.info("socket_listener_started", host=self._host, port=self._settings.port, tls=self._tls is not None)

    async def stop(self) -> None:
        if self._server is None:
            return
        self._server.close()
        if self._checking is not None:
            self._checking.cancel()
        for socket in list(self._serving.values()):
            socket.abort()
        for task in list(self._serving):
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)

    def reload_certificate(self) -> None:
        """Reads the files of the certificate again: new connections use it. If they can't be read, logs the reason and
        continues with the certificate in use."""
        if self._tls is None or self._settings.certificate is None:
            return
        try:
            # Files that do not belong together would leave the context in use without a certificate.
            load_certificate(self._settings)
            self._tls.load_cert_chain(self._settings.certificate, self._settings.key)
        except (OSError, ValueError) as error:
            log.warning("certificate_reload_refused", file=self._settings.certificate, error=str(error))
        else:
            log.info("certificate_reloaded", file=self._settings.certificate)

    def serve(self, transport: asyncio.Transport, head: RequestHead, rest: bytes) -> HandshakeRefusal | None:
        """Serves the WebSocket of a request in a task of its own. `rest` is what arrived after the request. Returns the
        refusal instead if its host or path is not served."""
        if not self._hosts.allow(head.host):
            log.warning("host_refused", host=(head.host or "")[:255], path=head.path.decode("latin-1"))
            return HOST_REFUSED
        address = find_address(head.path, self._addresses)
        if address is None:
            return NOT_FOUND
        user = user_in_url(address, head.path, head.query)
        socket = PicowsSocket(head, rest, transport, self._cache, self._writes, self._public_url)
        task = asyncio.create_task(self._gate.serve(socket, address.select(self._routes.table, user), user))
        self._serving[task] = socket
        task.add_done_callback(self._served)
        return None

    def refuse(self, transport: asyncio.Transport, refusal: HandshakeRefusal) -> None:
        respond(transport, refusal, self._public_url)

    def _served(self, task: asyncio.Task[None]) -> None:
        socket = self._serving.pop(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("socket_failed", exc_info=error)
            socket.abort()

    async def _check_alive(self) -> None:
        while True:
            await asyncio.sleep(self.policy.check_interval_s)
            plain = [socket for socket in self._serving.values() if not socket.handshake.has_protocol]
            for number, socket in enumerate(plain):
                if number % self.policy.check_batch == 0:
                    await asyncio.sleep(0)
                socket.check_alive()


class _Request(asyncio.Protocol):
    """Reads the request of one connection, until it is complete."""

    __slots__ = ("_data", "_done", "_listener", "_timer", "_transport")

    def __init__(self, listener: SocketListener) -> None:
        self._listener = listener
        self._data = b""
        self._done = False

    def connection_made(self, transport: Any) -> None:
        self._transport: asyncio.Transport = transport
        timeout_s = self._listener.policy.handshake_timeout_s
        self._timer = asyncio.get_running_loop().call_later(timeout_s, transport.abort)

    def data_received(self, data: bytes) -> None:
        if self._done:
            return  # the request is refused, or being answered
        self._data += data
        end = self._data.find(END)
        if end < 0:
            if len(self._data) > MAX_HEAD_BYTES:
                self._refuse(HEADERS_TOO_LARGE)
            return
        end += len(END)
        head, rest = self._data[:end], self._data[end:]
        try:
            request = read_head(head, self._listener.main_port)
        except HandshakeInvalid as invalid:
            self._refuse(invalid.refusal)
            return
        self._complete()
        self._transport.pause_reading()
        if (refusal := self._listener.serve(self._transport, request, rest)) is not None:
            self._listener.refuse(self._transport, refusal)

    def connection_lost(self, exc: Exception | None) -> None:
        self._timer.cancel()

    def _refuse(self, refusal: HandshakeRefusal) -> None:
        self._complete()
        self._listener.refuse(self._transport, refusal)

    def _complete(self) -> None:
        self._done = True
        self._data = b""
        self._timer.cancel()
