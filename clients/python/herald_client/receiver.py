"""Opens connections, reconnects, and decodes the received frames into the items that a Listener
returns to its caller."""

import logging
from collections.abc import Mapping
from ssl import SSLContext
from typing import Any, TypeAlias

import msgspec

from herald_client.addresses import with_cursor
from herald_client.connection import Connection
from herald_client.connection_end import ConnectionEnded, Reaction, Stopped
from herald_client.connection_timing import Timing
from herald_client.objects import (
    Authenticated,
    Bye,
    CommandError,
    Entry,
    Gap,
    Heartbeat,
    Hello,
    Item,
    Message,
    ProtocolError,
    Seen,
    Unknown,
    read_object,
)
from herald_client.positions import Positions
from herald_client.reconnection import Reconnection
from herald_client.token_refresh import TokenRefresh
from herald_client.tokens import Tokens

log = logging.getLogger(__name__)

# An item, and its JSON text, which is one line of a frame.
Received: TypeAlias = tuple[Item, str]


class Receiver:
    """Receives frames for a Listener, and reconnects when a connection ends. `repeats` is the number of duplicate
    entries that were dropped."""

    def __init__(
        self,
        reconnection: Reconnection,
        tokens: Tokens,
        positions: Positions,
        headers: Mapping[str, str],
        ssl: SSLContext | None,
        timing: Timing,
    ) -> None:
        self._timing = timing
        self._reconnection = reconnection
        self._tokens = tokens
        self._positions = positions
        self._headers = headers
        self._ssl = ssl
        self._connection: Connection | None = None
        self._token_refresh: TokenRefresh | None = None
        self._resumes = False  # whether the first frame of this connection has a resume point
        self._resumes_by_url = False  # whether the cursor is sent in the URL instead: see `_handle_hello`
        self._stopped: Stopped | None = None
        self.repeats = 0

    async def receive(self) -> list[Received]:
        """Connects if there is no connection, waits for the next frame, and returns its items, each with its JSON text.
        Returns a single Away if the connection ends or can't be opened, and an empty list for a frame without items,
        such as a heartbeat. Raises Stopped, at this and every later call, if Herald refuses this client. A cancelled
        call loses no frame."""
        if self._stopped is not None:
            raise self._stopped
        try:
            connection = self._connection or await self._connect()
            return self._read_frame(connection, await connection.receive())
        except ProtocolError as error:
            return self._handle_end(ConnectionEnded(f"a frame is not herald.v1: {error}"))
        except ConnectionEnded as end:
            return self._handle_end(end)

    async def close(self) -> None:
        connection, self._connection = self._connection, None
        if self._token_refresh is not None:
            self._token_refresh.stop()
        if connection is not None:
            await connection.close()

    async def _connect(self) -> Connection:
        await self._reconnection.wait()
        address = self._reconnection.address
        resume_point = self._positions.resume_point
        resume: dict[str, Any] = {}
        if resume_point is not None and self._resumes_by_url:
            address = with_cursor(address, resume_point.cursor)
        elif resume_point is not None:
            resume = {"cursor": resume_point.cursor, "positions": resume_point.positions}
        connection = await Connection.open(
            address, await self._tokens.current(), self._headers, self._ssl, self._timing
        )
        try:
            if resume_point is None or resume:
                await connection.send(msgspec.json.encode({"resume": resume}).decode())
        except BaseException:
            connection.abort()
            raise
        self._connection = connection
        self._token_refresh = TokenRefresh(self._tokens, connection.send, self._timing)
        self._resumes = bool(resume)
        return connection

    def _handle_end(self, end: ConnectionEnded) -> list[Received]:
        """Closes the ended connection and selects the next address. Returns an Away; raises Stopped if the client must
        not reconnect."""
        # No await in this method, so that a cancellation can't interrupt it half-way.
        connection, self._connection = self._connection, None
        if self._token_refresh is not None:
            self._token_refresh.stop()
        if connection is not None:
            connection.abort()
        if end.reaction is Reaction.STOP or (end.reaction is Reaction.NEW_TOKEN and not self._tokens.discard_expired()):
            log.info("Stopped at %s: %s (%s)", self._reconnection.url, end.reason, end.code)
            self._stopped = Stopped(end.code, end.reason)
            raise self._stopped
        away = self._reconnection.failed(end)
        log.info(
            "Disconnected from %s: %s (%s); connecting to %s in %.1f s",
            away.url,
            away.reason,
            away.code,
            away.next_url,
            away.retry_in,
        )
        return [(away, "")]

    def _read_frame(self, connection: Connection, frame: str) -> list[Received]:
        """Decodes the objects of a frame, handles each, and returns the items for the caller with their JSON texts.
        Raises ProtocolError, before it handles any object, if one of them is invalid or the first object of the session
        is not `hello`, `error` or `bye`. Raises ConnectionEnded if Herald has started the session without the resume
        point that the client sent."""
        lines = frame.split("\n")
        messages = [read_object(line) for line in lines]
        if connection.hello is None and not isinstance(messages[0], Hello | CommandError | Bye):
            raise ProtocolError(f"{messages[0].kind} before hello")
        return [
            (item, line)
            for message, line in zip(messages, lines, strict=True)
            if (item := self._handle_object(connection, message))
        ]

    def _handle_object(self, connection: Connection, message: Message | Unknown) -> Item | None:
        """Updates the client's state from one received object. Returns the item for the caller; None if the object is a
        duplicate entry, or of a kind that is not an item, such as a heartbeat."""
        match message:
            case Entry() | Seen() | Gap() | Unknown():
                self._reconnection.succeeded()
                if self._positions.is_new(message):
                    return message
                # After a resume with a cursor in the URL, the service sends all entries since that cursor. These
                # duplicates are expected and not counted.
                if not self._resumes_by_url:
                    self.repeats += 1
            case Hello():
                self._handle_hello(connection, message)
                return message
            case Heartbeat():
                self._reconnection.succeeded()
                self._positions.apply_heartbeat(message.cursor)
            case Bye():
                connection.expect_close(message)
            case Authenticated() if self._token_refresh is not None:
                self._token_refresh.accepted(message.expires_at)
            case CommandError():
                log.warning("%s: %s (%s)", self._reconnection.url, message.detail, message.code)
                if message.code == "unavailable" and self._token_refresh is not None:
                    self._token_refresh.unchecked()
        return None

    def _handle_hello(self, connection: Connection, hello: Hello) -> None:
        if connection.hello is None and self._resumes and not (hello.resumed or hello.gap):
            # The service waits 1 s for the first frame. If the frame arrives later, the session starts with new entries
            # only, and missed ones would be lost silently. From the next connection on, the cursor is sent in the URL.
            # The URL does not contain the positions received since that cursor, so their entries are sent again and
            # dropped as duplicates.
            self._resumes_by_url = True
            raise ConnectionEnded("the service did not wait for the first frame")
        connection.expect_heartbeats(hello)
        self._positions.apply_hello(hello)
        if self._token_refresh is not None:
            self._token_refresh.start()
        log.info("Connected to %s, %s", self._reconnection.url, "resumed" if hello.resumed else "from now on")
