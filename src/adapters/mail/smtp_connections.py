"""The pool of connections to the mail server: they are opened when they are needed, and reused for further mails.
HERALD_SMTP_CONNECTIONS is their maximum number."""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Awaitable
from typing import Final

import msgspec
from aiosmtplib import SMTP, SMTPException, SMTPResponse, SMTPResponseException

from adapters.mail.open_connection import ConnectionOpener, abort
from adapters.mail.settings import SmtpSettings
from adapters.mail.smtp_errors import ConnectionLost, invalid_reply
from application.delivery.channel import Deferred, NotSent


class ConnectionPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """The limits of a connection to the mail server: it is closed with QUIT after `max_mails` mails, or when it was
    idle for `idle_timeout_s` seconds. The reply to QUIT is awaited for at most `quit_timeout_s` seconds."""

    max_mails: int = 100  # servers limit the mails of one connection
    # Servers close idle connections: after 5 minutes by RFC 5321 (section 4.5.3.2.7), many of them much sooner. A
    # closed connection is replaced, so this limit only frees the server's slots.
    idle_timeout_s: float = 20.0
    quit_timeout_s: float = 2.0  # for the answer to QUIT


CONNECTION_POLICY: Final = ConnectionPolicy()


class PooledConnection:
    """One member of the pool, used for one mail at a time: a connection to the mail server that can be opened,
    closed and opened again."""

    def __init__(self, opening: ConnectionOpener, policy: ConnectionPolicy) -> None:
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
        self._quitting: asyncio.Task[None] | None = None

    @property
    def is_open(self) -> bool:
        return self._client is not None and self._client.is_connected

    def offers(self, extension: str) -> bool:
        return self._client is not None and self._client.supports_extension(extension)

    async def open(self) -> None:
        """Opens the connection. Raises PeerUnavailable if the mail server does not accept it."""
        if self._quitting:
            await asyncio.wait({self._quitting})
            self._quitting = None
        self._client = await self._opening.open()
        self._mails = 0

    async def reuse(self) -> bool:
        """Returns whether the open connection, by which an earlier mail was sent, can be used for another one. If
        not, it is closed, and must be opened again. Sends RSET if the earlier mail was not completed."""
        if self._until:
            self._until.cancel()
        if self._mails >= self._policy.max_mails:
            self.quit()
        if self._begun and self.is_open:
            with contextlib.suppress(NotSent):
                self._begun = (await self.send_command(b"RSET")).code != 250
        if self._begun or not self.is_open:
            self.abort()
        return self.is_open

    def begin_mail(self) -> None:
        """Counts another mail of this connection. Call it before the command MAIL."""
        self._begun = True
        self._mails += 1

    async def send_command(self, *words: bytes) -> SMTPResponse:
        """Sends an SMTP command and returns the reply. Raises ConnectionLost if there is no reply, Deferred if it is
        not valid SMTP."""
        if self._client is None:
            raise ConnectionLost("the connection was lost")
        return await self._answer(words[0].decode(), self._client.execute_command(*words))

    async def send_content(self, content: bytes) -> SMTPResponse:
        """Sends the content of a mail, after the server has accepted the command DATA, and returns the reply. Raises
        Deferred if there is no valid reply; the server may have accepted the mail then."""
        # aiosmtplib's `data` would send DATA and the content in one call: the deadline could not be checked in between,
        # and a reply to DATA could not be distinguished from a reply to the content.
        protocol = self._client.protocol if self._client else None
        if protocol is None or not protocol.is_connected:
            raise ConnectionLost("the connection was lost before the mail was handed over")
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
            raise invalid_reply(step, error.message) from error
        except (SMTPException, OSError) as error:
            raise ConnectionLost(f"the connection was lost before {step} was answered") from error
        self._unanswered = False
        return answer

    def keep(self) -> None:
        """Keeps the connection open for the next mail, for at most `idle_timeout_s` seconds. If the reply to a
        command is missing, closes the connection instead, because that reply could be taken for the reply to a later
        command."""
        if self._unanswered or not self.is_open:
            self.abort()
        else:
            self._until = asyncio.get_running_loop().call_later(self._policy.idle_timeout_s, self.quit)

    def abort(self) -> None:
        """Closes the connection immediately, without QUIT."""
        client, self._client = self._client, None
        self._unanswered = self._begun = False
        if client:
            abort(client)

    def quit(self) -> asyncio.Task[None] | None:
        """Closes the connection with QUIT, in a background task that ends within `quit_timeout_s` seconds. Returns
        the task; None if there is no connection to close. A later call of `open` waits for the task."""
        if self._until:
            self._until.cancel()
        client, self._client = self._client, None
        self._unanswered = self._begun = False
        if client:
            self._quitting = asyncio.create_task(_quit(client, self._policy.quit_timeout_s))
        return self._quitting


class Connections:
    """The pool of connections to the mail server. It can be used in one event loop only: the one of the first call
    of `acquire`."""

    def __init__(self, settings: SmtpSettings, policy: ConnectionPolicy) -> None:
        """Raises OSError if the file of HERALD_SMTP_CAFILE (the trusted certificate authorities) can't be read."""
        opening = ConnectionOpener(settings)
        # The next connection is taken from the end. Open ones come after closed ones, and the last used comes last,
        # so that no more connections are open than needed.
        self._free = deque(PooledConnection(opening, policy) for _ in range(settings.connections))
        self._size = settings.connections
        self._count = asyncio.Semaphore(self._size)

    @contextlib.asynccontextmanager
    async def acquire(self) -> AsyncIterator[PooledConnection]:
        """Waits for a free connection of the pool, and reserves it until the end of the `async with` block. The
        connection may be closed: the caller calls `reuse`, and `open` if needed."""
        await self._count.acquire()
        connection = self._free.pop()
        try:
            yield connection
        finally:
            connection.keep()
            if connection.is_open:
                self._free.append(connection)
            else:
                self._free.appendleft(connection)
            self._count.release()

    async def close(self) -> None:
        """Waits until all connections are free, and closes them with QUIT, which takes at most `quit_timeout_s`
        seconds. The pool can't be used afterwards."""
        connections: list[PooledConnection] = []
        while len(connections) < self._size:
            await self._count.acquire()
            connections.append(self._free.pop())
        quitting = [task for connection in connections if (task := connection.quit())]
        if quitting:
            await asyncio.wait(quitting)


async def _quit(client: SMTP, timeout_s: float) -> None:
    try:
        async with asyncio.timeout(timeout_s):
            await client.quit()
    except (SMTPException, OSError):
        pass
    finally:
        abort(client)
