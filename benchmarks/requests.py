"""Requests over one connection that is kept, read by hand: the client must never be what is measured."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final, TypeAlias

# Method and path to status and body.
Asker: TypeAlias = Callable[[str, str], Awaitable[tuple[int, bytes]]]

_LENGTH: Final = re.compile(rb"\r\ncontent-length: *([0-9]+)", re.IGNORECASE)


@asynccontextmanager
async def asker(port: int) -> AsyncIterator[Asker]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)

    async def ask(method: str, path: str) -> tuple[int, bytes]:
        writer.write(f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        length = _LENGTH.search(head)
        if length is None:
            raise RuntimeError(f"{method} {path} was answered without a length: {head!r}")
        return int(head[9:12]), await reader.readexactly(int(length[1]))

    try:
        yield ask
    finally:
        writer.close()
