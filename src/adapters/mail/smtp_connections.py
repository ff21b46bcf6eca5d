"""The connection pool of the mail server: connections are opened on demand and reused, up to a maximum number."""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Awaitable
from typing import Final

import msgspec
from aiosmtplib import SMTP, SMTPException, SMTPResponse, SMTPResponseException

from adapters.mail.open_connection import Opening, cut
from adapters.mail.settings import SmtpSettings
from adapters.mail.smtp_errors import HungUp, nonsense
from application.delivery.channel import Deferred, NotSent


class ConnectionPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """How long a connection to the mail server is used."""

    max_mails: int = 100  # servers limit the mails of one connection
    # Servers close idle connections: after 5 minutes by RFC 5321 (section 4.5.3.2.7), many of them much sooner. A
    # closed connection is replaced, so this limit only frees the server's slots.
    idle_timeout_s: float = 20.0
    quit_timeout_s: float = 2.0  # for the answer to QUIT


CONNECTION_POLICY: Final = ConnectionPolicy()


class Line:
    """One slot of the pool, with or without an open connection, for one mail at a time."""

    def __init__(self, opening: Opening, policy: ConnectionPolicy) -> None:
        self._policy = policy
        self._opening = opening
        self._client: SMTP | None = None
        self._mails = 0
        # A command was sent whose answer is still due. That answer must not be mistaken for the answer to a later
        # command.
        self._unanswered = False
        # A mail was begun, and neither accepted nor reset.
        self._begun = False
        self._until: asyncio.TimerHandle | None = None
        self._leaving: asyncio.Task[None] | None = None

    @property
    def is_open(self) -> bool:
        return self._client is not None and self._client.is_connected

    def offers(self, extension: str) -> bool:
        return self._client is not None and self._client.supports_extension(extension)

    async def open(self) -> None:
        """Open a connection. Raises PeerUnavailable."""
        if self._leaving:
            await asyncio.wait({self._leaving})
            self._leaving = None
        self._client = await self._opening.open()
        self._mails = 0

    async def resume(self) -> bool:
        """Whether the connection of the previous mail can be reused; closes it if not."""
        if self._until:
            self._until.cancel()
        if self._mails >= self._policy.max_mails:
            self.leave()
        if self._begun and self.is_open:
            with contextlib.suppress(NotSent):
                self._begun = (await self.say(b"RSET")).code != 250
        if self._begun or not self.is_open:
            self.drop()
        return self.is_open

    def begin(self) -> None:
        """Mark the start of another mail."""
        self._begun = True
        self._mails += 1

    async def say(self, *words: bytes) -> SMTPResponse:
        """Send a command and return its answer. Raises HungUp if there is no answer, Deferred for an invalid one."""
        if self._client is None:
            raise HungUp("the connection was lost")
        return await self._answer(words[0].decode(), self._client.execute_command(*words))

    async def hand_over(self, content: bytes) -> SMTPResponse:
        """Send the content that DATA announced. Raises Deferred.

        aiosmtplib's `data` sends the command and the content in one call: the deadline can't be checked in between, and
        an answer to the command can't be told apart from an answer to the content.
        """
        protocol = self._client.protocol if self._client else None
        if protocol is None or not protocol.is_connected:
            raise HungUp("the connection was lost before the mail was handed over")
        # Dot-stuffing: a line that begins with a dot could be read as the end of the content (RFC 5321, section 4.5.2).
        protocol.write(content.replace(b"\r\n.", b"\r\n..") + b".\r\n")
        try:
            answer = await self._answer("the mail", protocol.read_response())
        except Deferred as error:
            raise Deferred(f"{error}; it may have been accepted") from error
        self._begun = False
        return answer

    async def _answer(self, step: str, answering: Awaitable[SMTPResponse]) -> SMTPResponse:
        self._unanswered = True
        try:
            answer = await answering
        except SMTPResponseException as error:
            raise nonsense(step, error.message) from error
        except (SMTPException, OSError) as error:
            raise HungUp(f"the connection was lost before {step} was answered") from error
        self._unanswered = False
        return answer

    def rest(self) -> None:
        """Keep the connection for the next mail, for at most the idle timeout. A connection in an undefined state is
        dropped.
        """
        if self._unanswered or not self.is_open:
            self.drop()
        else:
            self._until = asyncio.get_running_loop().call_later(self._policy.idle_timeout_s, self.leave)

    def drop(self) -> None:
        """Abort the connection immediately."""
        client, self._client = self._client, None
        self._unanswered = self._begun = False
        if client:
            cut(client)

    def leave(self) -> asyncio.Task[None] | None:
        """Close the connection with QUIT, within its timeout. `open` waits for that."""
        if self._until:
            self._until.cancel()
        client, self._client = self._client, None
        self._unanswered = self._begun = False
        if client:
            self._leaving = asyncio.create_task(_quit(client, self._policy.quit_timeout_s))
        return self._leaving


class Connections:
    """The pool of connections. It belongs to the event loop that first uses a line."""

    def __init__(self, settings: SmtpSettings, policy: ConnectionPolicy) -> None:
        """Raises OSError if the CA file can't be read."""
        opening = Opening(settings)
        # The next line is taken from the end. Open lines come after closed ones, and the last used comes last, so that
        # no more connections are open than needed.
        self._free = deque(Line(opening, policy) for _ in range(settings.connections))
        self._size = settings.connections
        self._count = asyncio.Semaphore(self._size)

    @contextlib.asynccontextmanager
    async def line(self) -> AsyncIterator[Line]:
        """Wait for a free line and use it."""
        await self._count.acquire()
        line = self._free.pop()
        try:
            yield line
        finally:
            line.rest()
            if line.is_open:
                self._free.append(line)
            else:
                self._free.appendleft(line)
            self._count.release()

    async def close(self) -> None:
        """Wait until all lines are free, and close them, within the timeout of QUIT from then on. The pool can't be
        used afterwards.
        """
        lines: list[Line] = []
        while len(lines) < self._size:
            await self._count.acquire()
            lines.append(self._free.pop())
        leaving = [task for line in lines if (task := line.leave())]
        if leaving:
            await asyncio.wait(leaving)


async def _quit(client: SMTP, timeout_s: float) -> None:
    try:
        async with asyncio.timeout(timeout_s):
            await client.quit()
    except (SMTPException, OSError):
        pass
    finally:
        cut(client)
