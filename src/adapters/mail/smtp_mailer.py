"""Sends mails to an SMTP server."""

import asyncio
import time
from typing import Final

from aiosmtplib import SMTPResponse

from adapters.mail.mailer import OutgoingMail
from adapters.mail.mime import Composed, compose, sender_of
from adapters.mail.settings import SmtpSettings
from adapters.mail.smtp_connections import CONNECTION_POLICY, ConnectionPolicy, Connections, PooledConnection
from adapters.mail.smtp_errors import SHUTTING_DOWN, ConnectionLost, error_for_reply, reply_line
from application.delivery.channel import Deferred, NotSent, PeerUnavailable, Receipt, Refused

_WAITING: Final = "waiting for a connection"
_CONNECTING: Final = "connecting"


class SmtpMailer:
    """Implements Mailer for one mail server. Connections are reused for several mails.

    If an attempt does not end by its deadline, its connection is aborted. If a reused connection turns out to be closed
    before the server has replied to MAIL, the attempt continues with a new connection. Any other failure is raised. An
    instance can be used in one event loop only: the one in which it first sends a mail.
    """

    def __init__(self, settings: SmtpSettings, policy: ConnectionPolicy = CONNECTION_POLICY) -> None:
        """Raises OSError if the file of HERALD_SMTP_CAFILE (the trusted certificate authorities) can't be read, and
        ValueError if the sender is invalid."""
        self.name: Final = f"{settings.host}:{settings.its_port}"
        self._sender = sender_of(settings.sender)
        self._connections = Connections(settings, policy)
        self._running: set[asyncio.Timeout] = set()
        self._closed = False

    async def send(self, mail: OutgoingMail, deadline: float) -> Receipt:
        attempt = _Attempt(compose(mail, self._sender), deadline)
        attempt.check_time()
        if self._closed:
            raise Deferred("not sent: this node is shutting down")
        limit = asyncio.timeout(deadline - time.monotonic())
        self._running.add(limit)
        try:
            async with limit, self._connections.acquire() as connection:
                return await attempt.make(connection)
        except TimeoutError:
            raise self._out_of_time(attempt) from None
        finally:
            self._running.discard(limit)

    async def ping(self, deadline: float) -> None:
        limit = asyncio.timeout(deadline - time.monotonic())
        self._running.add(limit)
        try:
            async with limit, self._connections.acquire() as connection:
                if not await connection.reuse():
                    await connection.open()
        except TimeoutError:
            raise PeerUnavailable(f"{self.name} did not answer in time") from None
        finally:
            self._running.discard(limit)

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        now = asyncio.get_running_loop().time()
        for limit in self._running:
            if not limit.expired():
                limit.reschedule(now)
        await self._connections.close()

    def _out_of_time(self, attempt: "_Attempt") -> NotSent:
        if self._closed:
            return Deferred(f"aborted while {attempt.step}: this node is shutting down")
        if attempt.step == _CONNECTING:
            return PeerUnavailable(f"{self.name} did not answer in time while {attempt.step}")
        return Deferred(f"out of time while {attempt.step}")


class _Attempt:
    """One attempt to send a mail. `step` describes what the attempt is doing now, for error texts such as "out of
    time while connecting"."""

    def __init__(self, mail: Composed, deadline: float) -> None:
        self._mail = mail
        self._deadline = deadline
        self.step = _WAITING

    async def make(self, connection: PooledConnection) -> Receipt:
        self.step = _CONNECTING
        kept = await connection.reuse()
        if not kept:
            await connection.open()
        try:
            await self._begin(connection)
        except ConnectionLost:
            if not kept:
                raise
            self.step = _CONNECTING
            await connection.open()
            await self._begin(connection)
        await self._say(connection, b"RCPT", b"TO:" + _path(self._mail.recipient))
        self.check_time()
        await self._say(connection, b"DATA", expected=3)
        return await self._send_content(connection)

    def check_time(self) -> None:
        """Raises Deferred if the deadline has passed. Called before data is sent, because the timeout alone is not
        enough: after a suspension of the process, the attempt may continue before the timeout takes effect."""
        if time.monotonic() >= self._deadline:
            raise Deferred(f"out of time while {self.step}")

    async def _begin(self, connection: PooledConnection) -> None:
        options = []
        if self._mail.utf8:
            if not connection.offers("smtputf8"):
                raise Refused(
                    f"the mail server supports no addresses with non-ASCII characters: {self._mail.recipient}"
                )
            options += [b"SMTPUTF8", b"BODY=8BITMIME"]
        if connection.offers("size"):
            # With the size, the server can refuse a mail that is too large before the mail is transmitted.
            options.append(b"SIZE=%d" % len(self._mail.content))
        connection.begin_mail()
        await self._say(connection, b"MAIL", b"FROM:" + _path(self._mail.sender), *options)

    async def _say(self, connection: PooledConnection, *words: bytes, expected: int = 2) -> None:
        self.step = f"waiting for the answer to {words[0].decode()}"
        _check_reply(connection, words[0].decode(), await connection.send_command(*words), expected)

    async def _send_content(self, connection: PooledConnection) -> Receipt:
        try:
            self.check_time()
        except Deferred:
            # The server would treat all further commands on this connection as content of the mail.
            connection.abort()
            raise
        self.step = "waiting for the reply to the mail, which the server may have accepted"
        answer = await connection.send_content(self._mail.content)
        _check_reply(connection, "the mail", answer, 2)
        return Receipt(answer.code, reply_line(answer.message))


def _check_reply(connection: PooledConnection, step: str, answer: SMTPResponse, expected: int) -> None:
    """Checks that the code of a reply begins with the digit `expected`, and otherwise raises the exception of
    `error_for_reply`. If the connection can't be used after this reply, it is aborted. The other digits are ignored,
    because they differ between servers (RFC 5321, section 4.3.2)."""
    if answer.code // 100 == expected:
        return
    if answer.code == SHUTTING_DOWN or not 400 <= answer.code <= 599:
        connection.abort()
    raise error_for_reply(step, answer)


def _path(address: str) -> bytes:
    return f"<{address}>".encode()
