"""Mail servers for tests: a correct server, and a server whose faults the test chooses."""

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

# The part of an address that chooses the response: `450-later@example.com`.
_WISH: Final = re.compile(r"TO:<([45]\d\d)-", re.IGNORECASE)


class Taken(msgspec.Struct, frozen=True):
    """A mail received by a server, with the addresses of its envelope."""

    sender: str
    recipients: tuple[str, ...]
    raw: bytes

    @property
    def message(self) -> EmailMessage:
        return email.message_from_bytes(self.raw, policy=email.policy.SMTPUTF8)

    def body(self, kind: str) -> str:
        """Return the body `html` or `plain`."""
        part = self.message.get_body((kind,))
        assert part is not None
        return str(part.get_content())


class Listener:
    """A server on a port of this machine, in its own thread. It can be stopped and restarted.

    `connections` counts all connections so far, `open` the current ones, `most` the highest number of concurrent ones.
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
        """Cut all connections and stop listening. Received mails are kept."""
        if self._loop is not None:
            loop, self._loop = self._loop, None
            asyncio.run_coroutine_threadsafe(self._end(), loop).result(10)
            loop.call_soon_threadsafe(loop.stop)
            self._thread.join(10)
            loop.close()

    def cut(self) -> None:
        """Cut all connections and keep listening."""
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
        # Cancel the handlers of connections that are closed.
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        self.open = 0


class Mailbox(Listener):
    """A real SMTP server that keeps the received mails in `mails`.

    It refuses addresses that begin with a code of 4xx or 5xx, such as `450-` or `550-`, with that code. `answer` may
    decide more: called with a command (MAIL, RCPT, DATA, or `.` for the mail itself) and its argument, it returns the
    response, or None for the usual one. Each command takes `latency` seconds. `tls` is the TLS context of a server;
    with `starttls` it is offered, otherwise it is used from the start. `login` is the required user and password.
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
        """Wait until it has that many mails."""
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
        # handled=False: aiosmtpd sends the response to the command.
        return AuthResult(success=(data.login.decode(), data.password.decode()) == self._login, handled=False)


class _Session(SMTP):
    def __init__(self, mailbox: Mailbox, options: dict[str, Any], loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(mailbox, hostname="mailbox.test", loop=loop, **options)
        self._mailbox = mailbox
        self._counted = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        # Called again after STARTTLS.
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


# Faults of BadServer instead of a response: it never responds; it disconnects; its response never ends.
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
    """Behaves as `script` says: for each command a response, or STALL, DROP or ENDLESS; other commands succeed. Further
    keys are GREETING, BODY (DROP: disconnect after the first line of a mail; STALL: read none of it) and `.`, the
    response to a whole mail. The script may be changed at any time; `mend` clears it.

        BadServer({"MAIL": DROP})       BadServer({".": STALL})       BadServer({"GREETING": "554 not you"})

    `taken` holds the mails received completely, whatever the response; `heard` the commands."""

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
                    writer.transport.pause_reading()  # type: ignore[attr-defined]  # a socket's transport has it
                    await asyncio.Event().wait()
                body = await reader.readuntil(b"\r\n")
                if self.script.get("BODY") == DROP:
                    return
                self.taken.append(body + await reader.readuntil(b"\r\n.\r\n"))
                await self._do(reader, writer, ".")

    async def _do(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, step: str) -> str:
        answer = self.script.get(step, _USUAL.get(step, "502 what?"))
        if answer == STALL:
            await reader.read()  # until the other end has disconnected
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
