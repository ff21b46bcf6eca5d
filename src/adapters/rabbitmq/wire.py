"""The socket under a connection, and what has to be seen before aiormq sees it."""

import asyncio
import ssl
from typing import Any, Final

import pamqp.frame
from aiormq.connection import TransportFactory
from pamqp.commands import Connection
from pamqp.constants import AMQP
from yarl import URL

from adapters.rabbitmq.frame_repair import decodable

# Type, channel and length of a frame; one byte more ends it.
HEADER: Final = 7
LENGTH_AT: Final = 3


class Wire(TransportFactory):
    """One socket to the broker.

    Reports what aiormq does not: that RabbitMQ has blocked the connection, and why it closed one that was not open yet.
    Repairs frames that pamqp cannot decode (see frame_repair). Can be cut when the broker does not answer any more.
    """

    def __init__(self, context: ssl.SSLContext | None) -> None:
        # Why RabbitMQ does not read from this connection, in its words; empty while it does.
        self.blocked = ""
        # Why RabbitMQ has closed the connection, in its words; empty while it has not.
        self.farewell = ""
        self._context = context
        self._writer: asyncio.StreamWriter | None = None

    async def create(self, url: URL, **_: Any) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Called by aiormq."""
        reader, self._writer = await asyncio.open_connection(url.host, url.port, ssl=self._context)
        return _Frames(reader, self), self._writer

    def cut(self) -> None:
        if self._writer is not None:
            self._writer.transport.abort()

    def seen(self, frame: bytes) -> None:
        """A method on channel 0."""
        _, _, method = pamqp.frame.unmarshal(frame)
        if isinstance(method, Connection.Blocked):
            self.blocked = method.reason or "an alarm"
        elif isinstance(method, Connection.Unblocked):
            self.blocked = ""
        elif isinstance(method, Connection.Close):
            self.farewell = method.reply_text or ""


class _Frames(asyncio.StreamReader):
    """Reads whole frames from the socket, for one who asks for them in parts."""

    def __init__(self, reader: asyncio.StreamReader, wire: Wire) -> None:
        super().__init__()
        self._reader = reader
        self._wire = wire
        self._frame = b""

    def at_eof(self) -> bool:
        return not self._frame and self._reader.at_eof()

    async def readexactly(self, n: int) -> bytes:
        if not self._frame:
            self._frame = await self._next()
        part, self._frame = self._frame[:n], self._frame[n:]
        return part

    async def _next(self) -> bytes:
        header = await self._reader.readexactly(HEADER)
        if header.startswith(AMQP):
            # Another version of the protocol: aiormq says so.
            return header
        frame = header + await self._reader.readexactly(int.from_bytes(header[LENGTH_AT:]) + 1)
        if header.startswith(b"\1\0\0"):
            self._wire.seen(frame)
        return decodable(frame)
