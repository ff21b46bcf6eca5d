"""HTTP requests over one connection that stays open. Responses are parsed by hand, so that the client is no
bottleneck."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final, TypeAlias

# Sends a request with a method and a path. Returns the status and the body.
Requester: TypeAlias = Callable[[str, str], Awaitable[tuple[int, bytes]]]

_LENGTH: Final = re.compile(rb"\r\ncontent-length: *([0-9]+)", re.IGNORECASE)


@asynccontextmanager
async def requester(port: int) -> AsyncIterator[Requester]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)

    async def request(method: str, path: str) -> tuple[int, bytes]:
        writer.write(f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        length = _LENGTH.search(head)
        if length is None:
            raise RuntimeError(f"{method} {path} has a response without a length: {head!r}")
        return int(head[9:12]), await reader.readexactly(int(length[1]))

    try:
        yield request
    finally:
        writer.close()
