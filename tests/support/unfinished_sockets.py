"""Clients that open a socket without a token and never complete what they send."""

import asyncio
import time
from contextlib import nullcontext

# The endpoint has no public feed, so that the client has to send a token.
LINE = b"GET /ws/v2/notification-service/notifications/users/u HTTP/1.1\r\nHost: localhost\r\n"
HEAD = LINE + (
    b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Protocol: herald.v1\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
FILLING = b"x" * 15_000


def frame(first: int, announced: int, payload: bytes) -> bytes:
    return bytes([first, 0xFE]) + announced.to_bytes(2, "big") + bytes(4) + payload


HALF_A_HANDSHAKE = LINE + b"Cookie: " + FILLING
HALF_A_FRAME = HEAD + frame(0x81, 16_000, FILLING)
ENDLESS_FRAGMENTS = HEAD + frame(0x01, 5_000, FILLING[:5_000]) + 2 * frame(0x00, 5_000, FILLING[:5_000])
KINDS = (HALF_A_HANDSHAKE, HALF_A_FRAME, ENDLESS_FRAGMENTS)


async def until_closed(port: int, data: bytes, connecting: asyncio.Semaphore | None = None) -> float:
    """Sends the data and waits until the server closes the connection. Returns the seconds until then. `connecting`
    limits the number of connections that are opened concurrently."""
    async with connecting or nullcontext():
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    began = time.monotonic()
    writer.write(data)
    async with asyncio.timeout(60):
        try:
            while await reader.read(65_536):
                pass
        except ConnectionResetError:
            pass
    writer.close()
    return time.monotonic() - began
