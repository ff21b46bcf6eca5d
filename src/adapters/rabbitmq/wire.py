"""The socket of a connection to RabbitMQ. Inspects and repairs AMQP frames before aiormq reads them."""

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
    """The socket of one connection to RabbitMQ, which aiormq opens by `create`. Link uses it for what aiormq lacks:

    - `blocked` and `close_reason` contain RabbitMQ's reasons for not reading from the connection and for closing it.
    - Frames that pamqp cannot decode are repaired (see frame_repair).
    - `cut` aborts the connection when RabbitMQ no longer answers.
    """

    def __init__(self, context: ssl.SSLContext | None) -> None:
        # RabbitMQ's reason for not reading from this connection; empty while it reads.
        self.blocked = ""
        # RabbitMQ's reason for closing the connection; empty while it has not closed it.
        self.close_reason = ""
        self._context = context
        self._writer: asyncio.StreamWriter | None = None

    async def create(self, url: URL, **_: Any) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Opens the socket to the host and port of `url`. Called by aiormq."""
        reader, self._writer = await asyncio.open_connection(url.host, url.port, ssl=self._context)
        return _Frames(reader, self), self._writer

    def cut(self) -> None:
        """Aborts the connection without waiting for RabbitMQ."""
        if self._writer is not None:
            self._writer.transport.abort()

    def seen(self, frame: bytes) -> None:
        """Updates `blocked` and `close_reason` if the frame means that RabbitMQ has blocked, unblocked or closed the
        connection. Called with each method frame on channel 0, the channel for the connection itself."""
        _, _, method = pamqp.frame.unmarshal(frame)
        if isinstance(method, Connection.Blocked):
            self.blocked = method.reason or "an alarm"
        elif isinstance(method, Connection.Unblocked):
            self.blocked = ""
        elif isinstance(method, Connection.Close):
            self.close_reason = method.reply_text or ""


class _Frames(asyncio.StreamReader):
    """Replaces the StreamReader from which aiormq reads. Reads one whole AMQP frame at a time from the socket, passes
    it to Wire, repairs it if pamqp can't decode it (see `frame_repair`), and returns it in the parts that aiormq
    requests."""

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
