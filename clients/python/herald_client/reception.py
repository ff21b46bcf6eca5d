"""Keeping a connection, and making of its frames what callers are handed."""

import logging
from collections.abc import Mapping
from ssl import SSLContext
from typing import Any, TypeAlias

import msgspec

from herald_client.addresses import with_cursor
from herald_client.attempts import Attempts
from herald_client.connection import Connection
from herald_client.endings import Ended, Stopped, Then
from herald_client.objects import (
    Authenticated,
    Bye,
    Entry,
    Fault,
    Gap,
    Heartbeat,
    Hello,
    Item,
    NotUnderstood,
    Sent,
    Unknown,
    read_object,
)
from herald_client.places import Places
from herald_client.renewal import Renewal
from herald_client.tokens import Tokens

log = logging.getLogger(__name__)

Told: TypeAlias = tuple[Item, str]


class Reception:
    """What comes, over as many connections as it takes. A step of it, `receive`, may be cancelled and begun again:
    whatever has come by then was handed over, or comes again."""

    def __init__(
        self, attempts: Attempts, tokens: Tokens, places: Places, headers: Mapping[str, str], ssl: SSLContext | None
    ) -> None:
        self._attempts = attempts
        self._tokens = tokens
        self._places = places
        self._headers = headers
        self._ssl = ssl
        self._connection: Connection | None = None
        self._renewal: Renewal | None = None
        self._resumes = False  # whether this connection was told in its first frame where to go on
        self._too_slow = False  # whether the service has ever not waited for that
        self._stopped: Stopped | None = None
        self.repeats = 0

    async def receive(self) -> list[Told]:
        """What one frame has for the caller, or that the connection has ended; nothing, for a heartbeat. Raises
        Stopped, and again whenever it is called then."""
        if self._stopped is not None:
            raise self._stopped
        try:
            connection = self._connection or await self._connect()
            return self._read(connection, await connection.receive())
        except NotUnderstood as fault:
            return self._gone(Ended(f"what came is not herald.v1: {fault}"))
        except Ended as end:
            return self._gone(end)

    async def close(self) -> None:
        connection, self._connection = self._connection, None
        if self._renewal is not None:
            self._renewal.end()
        if connection is not None:
            await connection.close()

    async def _connect(self) -> Connection:
        await self._attempts.wait()
        address = self._attempts.address
        place = self._places.place
        resume: dict[str, Any] = {}
        if place is not None and self._too_slow:
            address = with_cursor(address, place.cursor)
        elif place is not None:
            resume = {"cursor": place.cursor, "positions": place.positions}
        connection = await Connection.open(address, await self._tokens.current(), self._headers, self._ssl)
        try:
            if place is None or resume:
                await connection.say(msgspec.json.encode({"resume": resume}).decode())
        except BaseException:
            connection.abort()
            raise
        self._connection = connection
        self._renewal = Renewal(self._tokens, connection.say)
        self._resumes = bool(resume)
        return connection

    def _gone(self, end: Ended) -> list[Told]:
        """Decides what follows. Nothing is awaited here: who is cancelled finds either the old state or the new."""
        connection, self._connection = self._connection, None
        if self._renewal is not None:
            self._renewal.end()
        if connection is not None:
            connection.abort()
        if end.then is Then.STOP or (end.then is Then.FRESH_TOKEN and not self._tokens.expired()):
            log.info("Stopped at %s: %s (%s)", self._attempts.url, end.reason, end.code)
            self._stopped = Stopped(end.code, end.reason)
            raise self._stopped
        away = self._attempts.failed(end)
        log.info("Away from %s: %s (%s); %s in %.1f s", away.url, away.reason, away.code, away.next_url, away.retry_in)
        return [(away, "")]

    def _read(self, connection: Connection, frame: str) -> list[Told]:
        """Raises NotUnderstood and Ended, before anything of the frame has had an effect."""
        lines = frame.split("\n")
        sent = [read_object(line) for line in lines]
        if connection.hello is None and not isinstance(sent[0], Hello | Fault | Bye):
            raise NotUnderstood(f"{sent[0].kind} before hello")
        return [(item, line) for one, line in zip(sent, lines, strict=True) if (item := self._hear(connection, one))]

    def _hear(self, connection: Connection, sent: Sent | Unknown) -> Item | None:
        """What there is in it for the caller."""
        match sent:
            case Entry() | Gap() | Unknown():
                self._attempts.succeeded()
                if self._places.is_news(sent):
                    return sent
                # By a cursor alone, what came since it comes again.
                if not self._too_slow:
                    self.repeats += 1
            case Hello():
                self._greet(connection, sent)
                return sent
            case Heartbeat():
                self._attempts.succeeded()
                self._places.beat(sent.cursor)
            case Bye():
                connection.told(sent)
            case Authenticated() if self._renewal is not None:
                self._renewal.answered(sent.expires_at)
            case Fault():
                log.warning("%s: %s (%s)", self._attempts.url, sent.detail, sent.code)
                if sent.code == "unavailable" and self._renewal is not None:
                    self._renewal.postponed()
        return None

    def _greet(self, connection: Connection, hello: Hello) -> None:
        if connection.hello is None and self._resumes and not (hello.resumed or hello.gap):
            # The service waits a second for the first frame, and begins from now on without it. What lay between would
            # be lost without a word; so from the next time on it is told in the handshake, by the cursor alone, and
            # what comes twice by that is dropped.
            self._too_slow = True
            raise Ended("the service did not wait to hear where to go on")
        connection.greeted(hello)
        self._places.greet(hello)
        if self._renewal is not None:
            self._renewal.begin()
        log.info("Connected to %s, %s", self._attempts.url, "resumed" if hello.resumed else "from now on")
