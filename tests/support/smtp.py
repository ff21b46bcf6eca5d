"""Mail servers for tests: one that does its work, and one that does what a test says."""

import asyncio
import email
import email.policy
import re
import ssl
import threading
import time
from collections.abc import Awaitable, Callable
from email.message import EmailMessage
from typing import Any, Final, Self

import msgspec
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from tests.support.service import free_port

# Of an address, for what the server says to it: `450-later@example.com`.
_WISH: Final = re.compile(r"TO:<([45]\d\d)-", re.IGNORECASE)


class Taken(msgspec.Struct, frozen=True):
    """A mail that a server has, with the addresses that it was told beside it."""

    sender: str
    recipients: tuple[str, ...]
    raw: bytes

    @property
    def message(self) -> EmailMessage:
        return email.message_from_bytes(self.raw, policy=email.policy.SMTPUTF8)

    def body(self, kind: str) -> str:
        """`html` or `plain`."""
        part = self.message.get_body((kind,))
        assert part is not None
        return str(part.get_content())


class Listener:
    """A server on a port of this machine, in a thread of its own; it can be stopped and started again.

    `connections` counts those that there ever were, `open` those that there are, `most` how many there were at once.
    """

    def __init__(self) -> None:
        self.host, self.port = "127.0.0.1", free_port()
        self.connections = self.open = self.most = 0
        self._transports: set[asyncio.Transport] = set()
        self._loop: asyncio.AbstractEventLoop | None = None

    async def _listen(self) -> asyncio.Server:
        raise NotImplementedError

    def start(self) -> Self:
        loop = self._loop = asyncio.SelectorEventLoop()
        self._thread = threading.Thread(target=loop.run_forever, daemon=True)
        self._thread.start()
        self._server = asyncio.run_coroutine_threadsafe(self._listen(), loop).result(10)
        return self

    def stop(self) -> None:
        """Cuts all connections. What it was sent is kept."""
        if self._loop is not None:
            loop, self._loop = self._loop, None
            asyncio.run_coroutine_threadsafe(self._end(), loop).result(10)
            loop.call_soon_threadsafe(loop.stop)
            self._thread.join(10)
            loop.close()

    def cut(self) -> None:
        """Cuts all connections, and listens on."""
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._abort)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def came(self, transport: asyncio.Transport) -> None:
        self._transports.add(transport)
        self.connections += 1
        self.open += 1
        self.most = max(self.most, self.open)

    def went(self) -> None:
        self.open -= 1

    def _abort(self) -> None:
        for transport in self._transports:
            transport.abort()
        self._transports.clear()

    async def _end(self) -> None:
        self._server.close()
        self._abort()
        # Cancelled: those at work for connections that are no more.
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        self.open = 0


class Mailbox(Listener):
    """A real SMTP server that keeps what it is sent, in `mails`.

    It refuses what it is asked to refuse: an address that begins with `450-` or `550-` (any 4xx, 5xx) gets that code.
    `answer` may decide more: asked with a command (MAIL, RCPT, DATA, or `.` for the mail itself) and what follows it,
    it returns the answer, or None for the usual one. Each command takes `latency` seconds.
    `tls` is a server's context; with `starttls` it is offered, else spoken from the start. `login` is who may send,
    and with what password.
    """

    def __init__(
        self,
        *,
        tls: ssl.SSLContext | None = None,
        starttls: bool = False,
        login: tuple[str, str] | None = None,
        utf8: bool = True,
        size: int = 33_554_432,
        latency: float = 0.0,
        answer: Callable[[str, str], str | None] = lambda command, rest: None,
    ) -> None:
        super().__init__()
        self.mails: list[Taken] = []
        self.commands: list[str] = []
        self.latency = latency
        self.answer = answer
        self._tls = None if starttls else tls
        self._login = login
        self._options: dict[str, Any] = {
            "tls_context": tls if starttls else None,
            "require_starttls": starttls,
            "enable_SMTPUTF8": utf8,
            "data_size_limit": size,
            "auth_required": login is not None,
            "auth_require_tls": False,
            "authenticator": self._authenticate,
        }

    def wait_for(self, count: int, seconds: float = 20.0) -> list[Taken]:
        """Until it has so many mails."""
        deadline = time.monotonic() + seconds
        while len(self.mails) < count:
            assert time.monotonic() < deadline, f"{len(self.mails)} of {count} mails after {seconds} s"
            time.sleep(0.01)
        return self.mails

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        if answer := self.answer(".", ""):
            return answer
        assert isinstance(envelope.content, bytes)
        self.mails.append(Taken(envelope.mail_from or "", tuple(envelope.rcpt_tos), envelope.content))
        return "250 2.0.0 taken"

    async def _listen(self) -> asyncio.Server:
        loop = asyncio.get_running_loop()
        return await loop.create_server(
            lambda: _Session(self, self._options, loop), self.host, self.port, ssl=self._tls, backlog=500
        )

    def _authenticate(
        self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any
    ) -> AuthResult:
        assert isinstance(data, LoginPassword)
        # Not handled: the answer is still to be given.
        return AuthResult(success=(data.login.decode(), data.password.decode()) == self._login, handled=False)


class _Session(SMTP):
    def __init__(self, mailbox: Mailbox, options: dict[str, Any], loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(mailbox, hostname="mailbox.test", loop=loop, **options)
        self._mailbox = mailbox
        self._counted = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        # STARTTLS makes it a second time.
        if not self._counted:
            self._counted = True
            self._mailbox.came(transport)
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        self._mailbox.went()
        super().connection_lost(error)

    async def smtp_EHLO(self, hostname: str) -> None:
        await self._unless_answered("EHLO", hostname, super().smtp_EHLO)

    async def smtp_MAIL(self, arg: str | None) -> None:
        await self._unless_answered("MAIL", arg, super().smtp_MAIL)

    async def smtp_RCPT(self, arg: str | None) -> None:
        if wish := _WISH.match(arg or ""):
            await self.push(f"{wish[1]} 4.0.0 as you wish")
        else:
            await self._unless_answered("RCPT", arg, super().smtp_RCPT)

    async def smtp_DATA(self, arg: str) -> None:
        await self._unless_answered("DATA", arg, super().smtp_DATA)

    async def _unless_answered(self, command: str, rest: str | None, usual: Callable[[Any], Awaitable[None]]) -> None:
        self._mailbox.commands.append(f"{command} {rest or ''}".strip())
        if self._mailbox.latency:
            await asyncio.sleep(self._mailbox.latency)
        answer = self._mailbox.answer(command, rest or "")
        if answer is None:
            await usual(rest)
        else:
            await self.push(answer)
            if answer.startswith("421"):
                self._writer.close()


# What BadServer may do in place of an answer: nothing, ever; hang up; answer without end.
STALL: Final = "<stall>"
DROP: Final = "<drop>"
ENDLESS: Final = "<endless>"

_LARGEST: Final = 50_000_000
_USUAL: Final = {
    "GREETING": "220 bad.test",
    "EHLO": "250-bad.test\r\n250 SIZE 1000000",
    "HELO": "250 bad.test",
    "MAIL": "250 ok",
    "RCPT": "250 ok",
    "DATA": "354 go on",
    ".": "250 taken",
    "RSET": "250 ok",
    "NOOP": "250 ok",
    "QUIT": "221 bye",
}


class BadServer(Listener):
    """Does what `script` says: an answer of its own for a command, or STALL, DROP, ENDLESS; what is not in it goes
    well. Beside the commands there is GREETING, BODY (DROP when a mail's first line has come, or STALL and read none of
    it) and `.`, the answer to a whole mail. The script may be changed at any time; `mend` empties it.

        BadServer({"MAIL": DROP})       BadServer({".": STALL})       BadServer({"GREETING": "554 not you"})

    `taken` holds the mails that it got whole, whatever it answered; `heard` the commands."""

    def __init__(self, script: dict[str, str] | None = None) -> None:
        super().__init__()
        self.script = script or {}
        self.taken: list[bytes] = []
        self.heard: list[str] = []

    def mend(self) -> None:
        self.script = {}

    async def _listen(self) -> asyncio.Server:
        return await asyncio.start_server(self._serve, self.host, self.port, limit=_LARGEST)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.came(writer.transport)
        try:
            await self._talk(reader, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self.went()
            writer.transport.abort()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._do(reader, writer, "GREETING")
        while line := (await reader.readline()).decode(errors="replace").strip():
            self.heard.append(line)
            command = line.split(" ")[0].upper()
            said = await self._do(reader, writer, command)
            if command == "QUIT":
                return
            if command == "DATA" and said.startswith("354"):
                if self.script.get("BODY") == STALL:
                    writer.transport.pause_reading()
                    await asyncio.Event().wait()
                body = await reader.readuntil(b"\r\n")
                if self.script.get("BODY") == DROP:
                    return
                self.taken.append(body + await reader.readuntil(b"\r\n.\r\n"))
                await self._do(reader, writer, ".")

    async def _do(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, step: str) -> str:
        answer = self.script.get(step, _USUAL.get(step, "502 what?"))
        if answer == STALL:
            await reader.read()  # until the other end has had enough
        if answer in (STALL, DROP):
            raise ConnectionAbortedError
        while answer == ENDLESS:
            writer.write(b"250-and so on\r\n" * 100)
            await writer.drain()
            await asyncio.sleep(0.001)
        writer.write(answer.encode() + b"\r\n")
        await writer.drain()
        if answer.startswith("421"):
            writer.close()
            await writer.wait_closed()
            raise ConnectionAbortedError
        return answer
