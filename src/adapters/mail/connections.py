"""The connections to the mail server: opened when needed, kept for the next mail, never more than there may be."""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Awaitable
from typing import Final

from aiosmtplib import SMTP, SMTPException, SMTPResponse, SMTPResponseException

from adapters.mail.faults import HungUp, nonsense
from adapters.mail.opening import Opening, cut
from adapters.mail.settings import SmtpSettings
from application.delivery.channel import Deferred, NotSent

# Mails on one connection: servers set a limit to them.
MAILS: Final = 100
# Seconds that one is kept for the next mail. Servers hang up on who is idle: after 5 minutes by the book (RFC 5321,
# section 4.5.3.2.7), many much sooner. One that did is replaced, so this only frees the places.
IDLE: Final = 20.0
# Seconds for the answer to QUIT.
LEAVE: Final = 2.0


class Line:
    """One of the connections that there may be, open or not, for one mail at a time."""

    def __init__(self, opening: Opening) -> None:
        self._opening = opening
        self._client: SMTP | None = None
        self._mails = 0
        # Something was said whose answer is still to come: it must not be taken for the answer to what comes next.
        self._unanswered = False
        # A mail was begun, and neither taken nor taken back.
        self._begun = False
        self._until: asyncio.TimerHandle | None = None
        self._leaving: asyncio.Task[None] | None = None

    @property
    def is_open(self) -> bool:
        return self._client is not None and self._client.is_connected

    def offers(self, extension: str) -> bool:
        return self._client is not None and self._client.supports_extension(extension)

    async def open(self) -> None:
        """Raises PeerUnavailable."""
        if self._leaving:
            await asyncio.wait({self._leaving})
            self._leaving = None
        self._client = await self._opening.open()
        self._mails = 0

    async def resume(self) -> bool:
        """Whether the connection kept from the mail before is fit for another. If it is not, it is gone."""
        if self._until:
            self._until.cancel()
        if self._mails >= MAILS:
            self.leave()
        if self._begun and self.is_open:
            with contextlib.suppress(NotSent):
                self._begun = (await self.say(b"RSET")).code != 250
        if self._begun or not self.is_open:
            self.drop()
        return self.is_open

    def begin(self) -> None:
        """Another mail goes over it."""
        self._begun = True
        self._mails += 1

    async def say(self, *words: bytes) -> SMTPResponse:
        """A command and its answer. Raises HungUp where there is none to be had, Deferred for what is none."""
        if self._client is None:
            raise HungUp("the connection was lost")
        return await self._answer(words[0].decode(), self._client.execute_command(*words))

    async def hand_over(self, content: bytes) -> SMTPResponse:
        """What DATA announced. Raises Deferred.

        aiosmtplib's `data` does both at once: it lets nobody look at the clock in between, and what is answered to the
        one can't be told from what is answered to the other.
        """
        protocol = self._client.protocol if self._client else None
        if protocol is None or not protocol.is_connected:
            raise HungUp("the connection was lost before the mail was handed over")
        # A line that begins with a dot could be taken for the end: RFC 5321, section 4.5.2.
        protocol.write(content.replace(b"\r\n.", b"\r\n..") + b".\r\n")
        try:
            answer = await self._answer("the mail", protocol.read_response())
        except Deferred as fault:
            raise Deferred(f"{fault}; it may have been taken") from fault
        self._begun = False
        return answer

    async def _answer(self, step: str, answering: Awaitable[SMTPResponse]) -> SMTPResponse:
        self._unanswered = True
        try:
            answer = await answering
        except SMTPResponseException as fault:
            raise nonsense(step, fault.message) from fault
        except (SMTPException, OSError) as fault:
            raise HungUp(f"the connection was lost before {step} was answered") from fault
        self._unanswered = False
        return answer

    def rest(self) -> None:
        """Until the next mail, or IDLE seconds. What is in no state to be used again is dropped."""
        if self._unanswered or not self.is_open:
            self.drop()
        else:
            self._until = asyncio.get_running_loop().call_later(IDLE, self.leave)

    def drop(self) -> None:
        """Ends the connection at once."""
        client, self._client = self._client, None
        self._unanswered = self._begun = False
        if client:
            cut(client)

    def leave(self) -> asyncio.Task[None] | None:
        """Ends the connection as is proper, in LEAVE seconds at most; `open` waits for that."""
        if self._until:
            self._until.cancel()
        client, self._client = self._client, None
        self._unanswered = self._begun = False
        if client:
            self._leaving = asyncio.create_task(_quit(client))
        return self._leaving


class Connections:
    """Belongs to the event loop that first takes a line."""

    def __init__(self, settings: SmtpSettings) -> None:
        """Raises OSError when the CA file cannot be read."""
        opening = Opening(settings)
        # Those to take next are at the end: open ones before others, and the last used first, so that no more are
        # open than are needed.
        self._free = deque(Line(opening) for _ in range(settings.connections))
        self._size = settings.connections
        self._count = asyncio.Semaphore(self._size)

    @contextlib.asynccontextmanager
    async def line(self) -> AsyncIterator[Line]:
        """Waits for a free one."""
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
        """Waits until all lines are free, and keeps them. Takes LEAVE seconds at most from then on."""
        lines: list[Line] = []
        while len(lines) < self._size:
            await self._count.acquire()
            lines.append(self._free.pop())
        leaving = [task for line in lines if (task := line.leave())]
        if leaving:
            await asyncio.wait(leaving)


async def _quit(client: SMTP) -> None:
    try:
        async with asyncio.timeout(LEAVE):
            await client.quit()
    except (SMTPException, OSError):
        pass
    finally:
        cut(client)
