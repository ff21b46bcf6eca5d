"""The mailer that sends mails to an SMTP server."""

import asyncio
import time
from typing import Final

from aiosmtplib import SMTPResponse

from adapters.mail.mailer import OutgoingMail
from adapters.mail.mime import Composed, compose, sender_of
from adapters.mail.settings import SmtpSettings
from adapters.mail.smtp_connections import CONNECTION_POLICY, ConnectionPolicy, Connections, Line
from adapters.mail.smtp_errors import SHUTTING_DOWN, HungUp, objection, reply_line
from application.delivery.channel import Deferred, NotSent, PeerUnavailable, Receipt, Refused

_WAITING: Final = "waiting for a connection"
_CONNECTING: Final = "connecting"


class SmtpMailer:
    """Implements Mailer for one mail server. Connections are reused for several mails.

    Every attempt ends at its deadline: if an operation does not end by then, its connection is aborted, and the next
    mail uses another connection. If the server has closed an idle connection, the attempt opens another one and
    continues, unless the server has already replied to MAIL. Nothing else is retried here. An instance belongs to the
    event loop in which it first sends a mail.
    """

    def __init__(self, settings: SmtpSettings, policy: ConnectionPolicy = CONNECTION_POLICY) -> None:
        """Raises OSError if the CA file can't be read, ValueError for an invalid sender."""
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
            async with limit, self._connections.line() as line:
                return await attempt.make(line)
        except TimeoutError:
            raise self._out_of_time(attempt) from None
        finally:
            self._running.discard(limit)

    async def ping(self, deadline: float) -> None:
        limit = asyncio.timeout(deadline - time.monotonic())
        self._running.add(limit)
        try:
            async with limit, self._connections.line() as line:
                if not await line.resume():
                    await line.open()
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
    """One attempt to send a mail. `step` describes the current step, for the text of errors."""

    def __init__(self, mail: Composed, deadline: float) -> None:
        self._mail = mail
        self._deadline = deadline
        self.step = _WAITING

    async def make(self, line: Line) -> Receipt:
        self.step = _CONNECTING
        kept = await line.resume()
        if not kept:
            await line.open()
        try:
            await self._begin(line)
        except HungUp:
            if not kept:
                raise
            self.step = _CONNECTING
            await line.open()
            await self._begin(line)
        await self._say(line, b"RCPT", b"TO:" + _path(self._mail.recipient))
        self.check_time()
        await self._say(line, b"DATA", hoped_for=3)
        return await self._hand_over(line)

    def check_time(self) -> None:
        """Raises Deferred if the deadline has passed. This is needed in addition to the timer: if the process was
        frozen, it may continue here before the timer fires.
        """
        if time.monotonic() >= self._deadline:
            raise Deferred(f"out of time while {self.step}")

    async def _begin(self, line: Line) -> None:
        options = []
        if self._mail.utf8:
            if not line.offers("smtputf8"):
                raise Refused(
                    f"the mail server supports no addresses with non-ASCII characters: {self._mail.recipient}"
                )
            options += [b"SMTPUTF8", b"BODY=8BITMIME"]
        if line.offers("size"):
            # With the size, the server can refuse a mail that is too large before the mail is transmitted.
            options.append(b"SIZE=%d" % len(self._mail.content))
        line.begin()
        await self._say(line, b"MAIL", b"FROM:" + _path(self._mail.sender), *options)

    async def _say(self, line: Line, *words: bytes, hoped_for: int = 2) -> None:
        self.step = f"waiting for the answer to {words[0].decode()}"
        _judge(line, words[0].decode(), await line.say(*words), hoped_for)

    async def _hand_over(self, line: Line) -> Receipt:
        try:
            self.check_time()
        except Deferred:
            # The server would treat all further commands on this connection as content of the mail.
            line.drop()
            raise
        self.step = "waiting for the reply to the mail, which the server may have accepted"
        answer = await line.hand_over(self._mail.content)
        _judge(line, "the mail", answer, 2)
        return Receipt(answer.code, reply_line(answer.message))


def _judge(line: Line, step: str, answer: SMTPResponse, hoped_for: int) -> None:
    """Does nothing if the first digit of the reply is the expected one; the other digits differ between servers (RFC
    5321, section 4.3.2). Raises the error for any other reply, and drops the connection if it can't be used any more.
    """
    if answer.code // 100 == hoped_for:
        return
    if answer.code == SHUTTING_DOWN or not 400 <= answer.code <= 599:
        line.drop()
    raise objection(step, answer)


def _path(address: str) -> bytes:
    return f"<{address}>".encode()
