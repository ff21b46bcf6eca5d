"""The HTTP response with which a handshake is refused."""

import asyncio
from http import HTTPStatus
from typing import Final

from adapters.web.refusals import HandshakeRefusal
from domain.public_url import PublicUrl

# After its close frame or its refusal, a connection is aborted if the client has not closed it within this time.
CLOSE_TIMEOUT_S: Final = 1.0


def respond(transport: asyncio.Transport, refusal: HandshakeRefusal, public_url: PublicUrl) -> None:
    """Sends an HTTP error response instead of accepting a handshake, and closes the connection when the client has done
    so, or after CLOSE_TIMEOUT_S."""
    body = refusal.body(public_url)
    lines = [f"HTTP/1.1 {refusal.status} {HTTPStatus(refusal.status).phrase}".encode()]
    lines += [name + b": " + value for name, value in refusal.headers(body)]
    lines += [b"cache-control: no-store", b"connection: close"]
    if refusal.status == HTTPStatus.UPGRADE_REQUIRED:
        lines += [b"upgrade: websocket", b"sec-websocket-version: 13"]
    transport.write(b"\r\n".join([*lines, b"", body]))
    # Closing at once, with unread bytes of the request, would reset the connection: the response might be lost.
    transport.resume_reading()
    asyncio.get_running_loop().call_later(CLOSE_TIMEOUT_S, transport.abort)
