"""The socket of a connection. It inspects and repairs frames before aiormq reads them."""

import asyncio
import ssl
from typing import Any, Final

import pamqp.frame
from aiormq.connection import TransportFactory
from pamqp.commands import Connection
from pamqp.constants import AMQP
from yarl import URL

from adapters.rabbitmq.frame_repair import decodable

# Bytes of a frame's header: type, channel and length. One end byte follows the payload.
HEADER: Final = 7
LENGTH_AT: Final = 3


class Wire(TransportFactory):
    """One socket to the broker.

    Reports what aiormq does not: that RabbitMQ has blocked the connection, and why it closed one that was not open yet.
    Repairs frames that pamqp cannot decode (see frame_repair). Can be aborted when the broker no longer answers.
    """

    def __init__(self, context: ssl.SSLContext | None) -> None:
        # RabbitMQ's reason for not reading from this connection; empty while it reads.
        self.blocked = ""
        # RabbitMQ's reason for closing the connection; empty while it has not closed it.
        self.close_reason = ""
        self._context = context
        self._writer: asyncio.StreamWriter | None = None

    async def create(self, url: URL, **_: Any) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Opens the socket. Called by aiormq."""
        reader, self._writer = await asyncio.open_connection(url.host, url.port, ssl=self._context)
        return _Frames(reader, self), self._writer

    def cut(self) -> None:
        """Aborts the socket, without waiting for the broker."""
        if self._writer is not None:
            self._writer.transport.abort()

    def seen(self, frame: bytes) -> None:
        """Updates `blocked` and `close_reason` from a method frame on channel 0."""
        _, _, method = pamqp.frame.unmarshal(frame)
        if isinstance(method, Connection.Blocked):
            self.blocked = method.reason or "an alarm"
        elif isinstance(method, Connection.Unblocked):
            self.blocked = ""
        elif isinstance(method, Connection.Close):
            self.close_reason = method.reply_text or ""


class _Frames(asyncio.StreamReader):
    """Reads whole frames from the socket, and returns them in the parts that aiormq requests."""

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
            # RabbitMQ rejects the protocol version: aiormq reports it.
            return header
        frame = header + await self._reader.readexactly(int.from_bytes(header[LENGTH_AT:]) + 1)
        if header.startswith(b"\1\0\0"):
            self._wire.seen(frame)
        return decodable(frame)
