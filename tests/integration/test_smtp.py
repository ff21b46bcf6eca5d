"""The SMTP mailer against correct and faulty servers, and the folder mailer."""

import asyncio
import base64
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import pytest
import uuid_utils.compat

from adapters.mail import smtp_connections
from adapters.mail.folder_mailer import FolderMailer
from adapters.mail.mailer import OutgoingMail
from adapters.mail.settings import SmtpSettings
from adapters.mail.smtp_connections import CONNECTION_POLICY, ConnectionPolicy
from adapters.mail.smtp_mailer import SmtpMailer
from application.delivery.channel import Deferred, NotSent, PeerUnavailable, Refused
from application.ports.mail_folder import RenderedMail
from tests.support.certificates import Authority
from tests.support.reading import until
from tests.support.service import free_port
from tests.support.smtp import DROP, ENDLESS, STALL, BadServer, Listener, Mailbox

# Time in seconds of an attempt that is meant to run into its deadline.
SHORT = 0.5
PASSWORD = "correct horse, battery"


def mail(to: str = "ann@example.com", text: str = "Hello") -> OutgoingMail:
    return OutgoingMail(
        uuid_utils.compat.uuid7().hex, to, "Order 7", datetime.now(UTC), RenderedMail(f"<p>{text}</p>", text)
    )


@asynccontextmanager
async def mailer(
    server: Listener, policy: ConnectionPolicy = CONNECTION_POLICY, **settings: Any
) -> AsyncIterator[SmtpMailer]:
    mailer = SmtpMailer(SmtpSettings(server.host, server.port, **settings), policy)
    try:
        yield mailer
    finally:
        async with asyncio.timeout(3):
            await mailer.close()


async def outcome(sending: Awaitable[Any]) -> tuple[type[NotSent], int | None]:
    with pytest.raises(NotSent) as caught:
        await sending
    assert str(caught.value).isprintable()
    assert 0 < len(str(caught.value)) <= 600
    if isinstance(caught.value, PeerUnavailable) and caught.value.refused_us:
        return RefusedUs, caught.value.code
    kind = next(kind for kind in (PeerUnavailable, Refused, Deferred) if isinstance(caught.value, kind))
    return kind, caught.value.code


class RefusedUs(PeerUnavailable):
    """PeerUnavailable with `refused_us`, for the table."""


def open_to(port: int) -> list[Any]:
    """Return the connections of this process to the port."""
    return [each for each in psutil.Process().net_connections() if each.raddr and each.raddr.port == port]


def after(seconds: float) -> float:
    return time.monotonic() + seconds


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ({"GREETING": STALL}, (PeerUnavailable, None)),
        ({"GREETING": DROP}, (PeerUnavailable, None)),
        ({"GREETING": "421 too many of you"}, (PeerUnavailable, 421)),
        ({"GREETING": "554 not you"}, (RefusedUs, 554)),
        ({"GREETING": "SSH-2.0-OpenSSH_9.2"}, (PeerUnavailable, None)),
        ({"GREETING": ENDLESS}, (PeerUnavailable, None)),
        ({"EHLO": "550 not you", "HELO": "550 not you"}, (RefusedUs, 550)),
        ({"EHLO": "550 not you", "HELO": DROP}, (RefusedUs, 550)),
        ({"EHLO": "451 not now", "HELO": "451 not now"}, (PeerUnavailable, 451)),
        ({"EHLO": "421 not now"}, (PeerUnavailable, 421)),
        ({"EHLO": STALL}, (PeerUnavailable, None)),
        ({"EHLO": ENDLESS, "HELO": DROP}, (PeerUnavailable, None)),
        ({"MAIL": "451 not now"}, (Deferred, 451)),
        ({"MAIL": "421 not now"}, (Deferred, 421)),
        ({"MAIL": "550 not from there"}, (Refused, 550)),
        ({"MAIL": "552 too large"}, (Refused, 552)),
        ({"MAIL": "530 log in first"}, (RefusedUs, 530)),
        ({"MAIL": "538 not in the clear"}, (RefusedUs, 538)),
        ({"MAIL": DROP}, (Deferred, None)),
        ({"MAIL": STALL}, (Deferred, None)),
        ({"MAIL": "what?"}, (Deferred, None)),
        ({"MAIL": "354 go on"}, (Deferred, None)),
        ({"MAIL": ENDLESS}, (Deferred, None)),
        ({"RCPT": "450 busy"}, (Deferred, 450)),
        ({"RCPT": "452 full"}, (Deferred, 452)),
        ({"RCPT": "550 nobody"}, (Refused, 550)),
        ({"RCPT": "552 full"}, (Refused, 552)),
        ({"RCPT": "421 bye"}, (Deferred, 421)),
        ({"RCPT": DROP}, (Deferred, None)),
        ({"DATA": "451 not now"}, (Deferred, 451)),
        ({"DATA": "554 never"}, (Refused, 554)),
        ({"DATA": "250 taken, of course"}, (Deferred, None)),
        ({"DATA": STALL}, (Deferred, None)),
        ({"DATA": DROP}, (Deferred, None)),
        ({"BODY": DROP}, (Deferred, None)),
        ({".": STALL}, (Deferred, None)),
        ({".": DROP}, (Deferred, None)),
        ({".": "421 bye"}, (Deferred, 421)),
        ({".": "451 not now"}, (Deferred, 451)),
        ({".": "552 too large"}, (Refused, 552)),
        ({".": "554 spam"}, (Refused, 554)),
        ({".": "ok!"}, (Deferred, None)),
        ({".": "\0\x1b[2J 250"}, (Deferred, None)),
        ({".": "550 " + "x" * 5_000}, (Refused, 550)),
        ({".": "550-first\r\n550 second\x07"}, (Refused, 550)),
    ],
    ids=str,
)
@pytest.mark.parametrize("kept", [False, True], ids=["fresh", "kept"])
async def test_each_fault_has_its_outcome_and_the_next_mail_is_sent(
    script: dict[str, str], expected: tuple[type[NotSent], int | None], kept: bool
) -> None:
    with BadServer() as server:
        async with mailer(server, connections=1) as sender:
            before = 0
            if kept:
                await sender.send(mail(), after(10))
                before = len(server.taken)
            if kept and not {"GREETING", "EHLO"}.isdisjoint(script):
                # This fault affects only new connections.
                server.cut()
            server.script = script
            start = time.monotonic()
            assert await outcome(sender.send(mail(), after(SHORT))) == expected
            assert time.monotonic() - start < SHORT + 1
            server.mend()
            last = mail(text="the last")
            assert (await sender.send(last, after(10))).code == 250
            assert last.id.encode() in server.taken[-1]
            assert len(server.taken) - before <= 2


async def test_any_2xx_response_means_sent() -> None:
    with BadServer({".": "251 taken elsewhere", "RCPT": "251 will forward"}) as server:
        async with mailer(server) as sender:
            assert (await sender.send(mail(), after(10))).code == 251


async def test_the_server_response_is_reported_as_one_short_line() -> None:
    with BadServer({"RCPT": "550-No such user,\r\n550 \tsee \x07http://x"}) as server:
        async with mailer(server) as sender:
            with pytest.raises(Refused, match=r"^No such user, see http://x$"):
                await sender.send(mail(), after(10))


async def test_an_unreachable_server_is_unavailable() -> None:
    for host in ("127.0.0.1", "no-such-host.invalid", f"{'x' * 64}.example"):
        sender = SmtpMailer(SmtpSettings(host, free_port()))
        kind, code = await outcome(sender.send(mail(), after(10)))
        assert issubclass(kind, PeerUnavailable)
        assert code is None
        # A host name that cannot be looked up is an error in the settings.
        assert (kind is RefusedUs) == host.startswith("xx")
        await sender.close()


async def test_a_server_that_accepts_no_connection_costs_no_more_than_the_deadline() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        port = full.getsockname()[1]
        # Two connections fill the queue; further ones get no answer.
        fillers = [socket.socket() for _ in range(3)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
        sender = SmtpMailer(SmtpSettings("127.0.0.1", port))
        start = time.monotonic()
        assert await outcome(sender.send(mail(), after(SHORT))) == (PeerUnavailable, None)
        assert time.monotonic() - start < SHORT + 1
        await sender.close()
        for filler in fillers:
            filler.close()


async def test_a_server_without_ehlo_is_greeted_with_helo() -> None:
    with BadServer({"EHLO": "502 what?"}) as server:
        async with mailer(server) as sender:
            assert (await sender.send(mail(), after(10))).code == 250


# Connections.


async def test_connections_are_reused_and_their_number_is_limited() -> None:
    with Mailbox(latency=0.002) as server:
        async with mailer(server, connections=3) as sender:
            await asyncio.gather(*(sender.send(mail(), after(30)) for _ in range(150)))
            assert len(server.mails) == 150
            assert (server.connections, server.most) == (3, 3)
        await until(lambda: server.open == 0)


async def test_sequential_mails_use_one_connection() -> None:
    with Mailbox() as server:
        async with mailer(server, connections=3) as sender:
            for _ in range(20):
                await sender.send(mail(), after(10))
            assert server.connections == 1


async def test_a_connection_is_closed_after_its_maximum_number_of_mails() -> None:
    with Mailbox() as server:
        async with mailer(server, ConnectionPolicy(max_mails=5), connections=2) as sender:
            await asyncio.gather(*(sender.send(mail(), after(30)) for _ in range(40)))
            # Any free connection sends the next mail; if they did not share evenly, both are open at the end.
            assert server.connections in {8, 9}
            assert server.most <= 3  # the server notices a closed connection slightly later
        assert len(server.mails) == 40


async def test_an_idle_connection_is_closed_with_quit() -> None:
    with BadServer() as server:
        async with mailer(server, ConnectionPolicy(idle_timeout_s=0.1)) as sender:
            await sender.send(mail(), after(10))
            assert server.open == 1
            await until(lambda: server.open == 0)
            assert server.heard[-1] == "QUIT"
            await sender.send(mail(), after(10))
            assert server.connections == 2


@pytest.mark.parametrize("how", ["cut", "restarted", "421", "dropped at MAIL"])
async def test_a_dead_kept_connection_is_replaced_without_an_error(how: str) -> None:
    with BadServer() as server:
        async with mailer(server, connections=1) as sender:
            await sender.send(mail(), after(10))
            if how == "cut":
                server.cut()
            elif how == "restarted":
                server.stop()
                server.start()
            else:
                script = {"MAIL": "421 you were idle" if how == "421" else DROP}
                # Only the kept connection fails; on the next one the server works.
                server.script = _Once(script)
            assert (await sender.send(mail(), after(10))).code == 250
            assert server.connections == 2
            assert len(server.taken) == 2


class _Once(dict[str, str]):
    """A script in which each response is used once."""

    def get(self, step: str, usual: Any = None) -> Any:
        return self.pop(step, usual)


async def test_a_refused_mail_is_reset_before_the_next() -> None:
    with Mailbox() as server:
        async with mailer(server, connections=1) as sender:
            assert await outcome(sender.send(mail("550-no@example.com"), after(10))) == (Refused, 550)
            assert await outcome(sender.send(mail("450-later@example.com"), after(10))) == (Deferred, 450)
            await sender.send(mail(), after(10))
            assert server.connections == 1
            assert [taken.recipients for taken in server.mails] == [("ann@example.com",)]


async def test_a_server_that_stalls_at_rset_does_not_hide_a_refusal() -> None:
    with BadServer({"RCPT": "550 nobody", "RSET": STALL}) as server:
        async with mailer(server, connections=1) as sender:
            start = time.monotonic()
            assert await outcome(sender.send(mail(), after(10))) == (Refused, 550)
            assert time.monotonic() - start < 2


async def test_a_cancelled_mail_leaves_no_response_for_the_next() -> None:
    with BadServer() as server:
        async with mailer(server, connections=1) as sender:
            await sender.send(mail(), after(10))
            for step in ("MAIL", "RCPT", "DATA", "."):
                server.script = {step: STALL}
                sending = asyncio.create_task(sender.send(mail(), after(10)))
                await asyncio.sleep(0.1)
                sending.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await sending
                server.mend()
                last = mail()
                assert (await sender.send(last, after(10))).code == 250
                assert last.id.encode() in server.taken[-1]


async def test_mails_cancelled_while_waiting_leak_no_connection() -> None:
    with Mailbox(latency=0.02) as server:
        async with mailer(server, connections=2) as sender:
            sendings = [asyncio.create_task(sender.send(mail(), after(10))) for _ in range(30)]
            await asyncio.sleep(0.05)
            for sending in sendings[::2]:
                sending.cancel()
            await asyncio.gather(*sendings, return_exceptions=True)
            await asyncio.gather(*(sender.send(mail(), after(10)) for _ in range(10)))


async def test_a_mail_that_gets_no_connection_in_time_is_deferred() -> None:
    with BadServer({"MAIL": STALL}) as server:
        async with mailer(server, connections=1) as sender:
            first = asyncio.create_task(sender.send(mail(), after(3 * SHORT)))
            await asyncio.sleep(0.1)
            assert await outcome(sender.send(mail(), after(SHORT))) == (Deferred, None)
            assert server.connections == 1
            await outcome(first)


@pytest.mark.parametrize("step", ["GREETING", "EHLO", "MAIL", "."])
async def test_closing_defers_mails_in_progress(step: str) -> None:
    with BadServer({step: STALL}) as server:
        sender = SmtpMailer(SmtpSettings(server.host, server.port, connections=1))
        sendings = [asyncio.create_task(sender.send(mail(), after(60))) for _ in range(3)]
        await asyncio.sleep(0.1)
        start = time.monotonic()
        await sender.close()
        assert time.monotonic() - start < 1
        for sending in sendings:
            with pytest.raises(Deferred, match="shutting down"):
                await sending
        await until(lambda: server.open == 0)


async def test_closing_does_not_wait_for_a_stalled_server() -> None:
    with BadServer({"QUIT": STALL}) as server:
        sender = SmtpMailer(SmtpSettings(server.host, server.port))
        await asyncio.gather(*(sender.send(mail(), after(10)) for _ in range(5)))
        start = time.monotonic()
        await sender.close()
        assert time.monotonic() - start < CONNECTION_POLICY.quit_timeout_s + 1
        await until(lambda: server.open == 0)


async def test_a_server_that_reads_nothing_is_disconnected_at_the_deadline() -> None:
    with BadServer({"BODY": STALL}) as server:
        async with mailer(server, connections=1) as sender:
            # More than the buffers of both ends hold.
            large = mail(text="x" * 15_000_000)
            deadline = after(2)
            assert await outcome(sender.send(large, deadline)) == (Deferred, None)
            assert 0 <= time.monotonic() - deadline < 1
            await until(lambda: not open_to(server.port))


# Deadlines.


@pytest.mark.parametrize("step", ["RCPT", "DATA"])
async def test_nothing_is_sent_when_the_deadline_passed_during_a_freeze(
    step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with BadServer() as server:
        async with mailer(server, connections=1) as sender:
            await sender.send(mail(), after(10))
            hear = smtp_connections.PooledConnection.send_command

            async def then_freeze(line: smtp_connections.PooledConnection, *words: bytes) -> Any:
                answer = await hear(line, *words)
                if words[0] == step.encode():
                    # The process is blocked: no timer fires.
                    time.sleep(SHORT + 0.1)  # noqa: ASYNC251 - to hold up the loop is the point
                return answer

            monkeypatch.setattr(smtp_connections.PooledConnection, "send_command", then_freeze)
            assert await outcome(sender.send(mail(), after(SHORT))) == (Deferred, None)
            monkeypatch.undo()
            assert len(server.taken) == 1
            await sender.send(mail(), after(10))
            assert len(server.taken) == 2
            # After DATA, anything sent would be part of the mail, so that connection cannot be reused.
            assert server.connections == (1 if step == "RCPT" else 2)


# TLS and authentication.


@pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")
@pytest.mark.parametrize("starttls", [True, False])
async def test_tls_and_authentication(authority: Authority, starttls: bool) -> None:
    with Mailbox(tls=authority.server(), starttls=starttls, login=("herald", PASSWORD)) as server:
        secure = {"security": "starttls" if starttls else "tls", "cafile": authority.cafile}
        async with mailer(server, **secure, user="herald", password=PASSWORD, connections=2) as sender:
            await asyncio.gather(*(sender.send(mail(), after(10)) for _ in range(10)))
            assert len(server.mails) == 10
            assert server.connections == 2
        async with mailer(server, **secure, user="herald", password="another") as sender:
            assert await outcome(sender.send(mail(), after(10))) == (RefusedUs, 535)
        async with mailer(server, **secure) as sender:
            assert await outcome(sender.send(mail(), after(10))) == (RefusedUs, 530)
        assert len(server.mails) == 10


@pytest.mark.parametrize("starttls", [True, False])
@pytest.mark.parametrize("fault", ["another host's", "unknown authority's"])
async def test_an_invalid_certificate_is_refused(
    authority: Authority, tmp_path: Path, starttls: bool, fault: str
) -> None:
    context = authority.server("mail.elsewhere.example") if fault == "another host's" else authority.server()
    cafile = authority.cafile if fault == "another host's" else None
    with Mailbox(tls=context, starttls=starttls) as server:
        async with mailer(server, security="starttls" if starttls else "tls", cafile=cafile) as sender:
            with pytest.raises(PeerUnavailable, match="certificate verify failed") as caught:
                await sender.send(mail(), after(10))
            assert caught.value.refused_us
        assert server.mails == []
        await until(lambda: server.open == 0)


async def test_unavailable_starttls_sends_no_mail(authority: Authority) -> None:
    offer = {"EHLO": "250-bad.test\r\n250 STARTTLS"}
    for script, expected in (
        ({}, (RefusedUs, None)),
        ({**offer, "STARTTLS": "554 no"}, (RefusedUs, 554)),
        ({**offer, "STARTTLS": "454 not now"}, (PeerUnavailable, 454)),
        ({**offer, "STARTTLS": DROP}, (PeerUnavailable, None)),
        ({**offer, "STARTTLS": STALL}, (PeerUnavailable, None)),
        # The server agrees, but then does not speak TLS.
        ({**offer, "STARTTLS": "220 go on"}, (RefusedUs, None)),
    ):
        with BadServer(script) as server:
            async with mailer(server, security="starttls", cafile=authority.cafile) as sender:
                assert await outcome(sender.send(mail(), after(SHORT))) == expected, script
            assert server.taken == []
            assert not any("MAIL" in heard for heard in server.heard)


async def test_tls_with_a_server_without_tls(authority: Authority) -> None:
    with Mailbox() as server:
        async with mailer(server, security="tls", cafile=authority.cafile) as sender:
            assert await outcome(sender.send(mail(), after(10))) == (RefusedUs, None)


async def test_a_server_that_disconnects_after_a_wrong_password_is_reported_as_refusal() -> None:
    script = {"EHLO": "250-bad.test\r\n250 AUTH PLAIN LOGIN", "AUTH": "535 no"}
    with BadServer(script) as server:
        server.script = _Then(script, "AUTH", DROP)
        async with mailer(server, user="herald", password=PASSWORD) as sender:
            assert await outcome(sender.send(mail(), after(10))) == (RefusedUs, 535)


class _Then(dict[str, str]):
    """A script in which one response changes after its first use."""

    def __init__(self, script: dict[str, str], step: str, then: str) -> None:
        super().__init__(script)
        self._step, self._next = step, then

    def get(self, step: str, usual: Any = None) -> Any:
        answer = super().get(step, usual)
        if step == self._step:
            self[step] = self._next
        return answer


async def test_a_server_without_a_supported_login_mechanism() -> None:
    for offer in ("250 ok", "250-bad.test\r\n250 AUTH GSSAPI"):
        with BadServer({"EHLO": offer}) as server:
            async with mailer(server, user="herald", password=PASSWORD) as sender:
                assert await outcome(sender.send(mail(), after(10))) == (RefusedUs, None)


@pytest.mark.parametrize("form", ["plain", "password", "text"])
async def test_a_password_repeated_by_the_server_is_masked(form: str) -> None:
    plain = base64.b64encode(f"\0herald\0{PASSWORD}".encode()).decode()
    repeated = {"plain": plain, "password": base64.b64encode(PASSWORD.encode()).decode(), "text": PASSWORD}[form]
    with BadServer({"EHLO": "250-bad.test\r\n250 AUTH PLAIN", "AUTH": f"535 what is {repeated}?"}) as server:
        async with mailer(server, user="herald", password=PASSWORD) as sender:
            with pytest.raises(PeerUnavailable, match=r"^what is \*\*\*\?$"):
                await sender.send(mail(), after(10))


# Addresses, sizes.


async def test_non_ascii_addresses_need_a_server_with_smtputf8() -> None:
    with Mailbox(utf8=False) as server:
        async with mailer(server) as sender:
            with pytest.raises(Refused, match="non-ASCII"):
                await sender.send(mail("jürgen@example.com"), after(10))
            await sender.send(mail("ann@bücher.example"), after(10))
            assert [taken.recipients for taken in server.mails] == [("ann@xn--bcher-kva.example",)]
    with Mailbox() as server:
        async with mailer(server) as sender:
            await sender.send(mail("jürgen@bücher.example"), after(10))
            assert [taken.recipients for taken in server.mails] == [("jürgen@xn--bcher-kva.example",)]


async def test_an_oversized_mail_is_refused_before_it_is_sent() -> None:
    with Mailbox(size=10_000) as server:
        async with mailer(server) as sender:
            assert await outcome(sender.send(mail(text="x" * 20_000), after(10))) == (Refused, 552)
            assert not any(command == "DATA" for command in server.commands)
            await sender.send(mail(), after(10))


async def test_ehlo_uses_the_full_host_name_or_the_address() -> None:
    for name, said in (("node-7.example.com", "EHLO node-7.example.com"), ("9f86d081884c", "EHLO [127.0.0.1]")):
        with BadServer() as server, pytest.MonkeyPatch.context() as patch:
            patch.setattr(socket, "getfqdn", lambda name=name: name)
            async with mailer(server) as sender:
                await sender.send(mail(), after(10))
            assert server.heard[0] == said


# The folder.


async def test_a_file_at_the_path_of_the_folder_is_an_error(tmp_path: Path) -> None:
    folder = tmp_path / "mail"
    folder.write_text("in the way")
    with pytest.raises(PeerUnavailable, match=str(folder)) as caught:
        await FolderMailer(str(folder), "herald@example.com").send(mail(), after(10))
    assert not caught.value.refused_us


async def test_files_in_the_folder_are_always_complete(tmp_path: Path) -> None:
    sender, sent = FolderMailer(str(tmp_path), "herald@example.com"), mail(text="x" * 500_000)
    await sender.send(sent, after(10))
    file = tmp_path / f"{sent.id}.eml"
    whole, seen, done = file.stat().st_size, set[int](), threading.Event()

    def watch() -> None:
        while not done.is_set():
            seen.add(len(file.read_bytes()))

    watching = asyncio.create_task(asyncio.to_thread(watch))
    for _ in range(40):
        await sender.send(sent, after(10))
    done.set()
    await watching
    assert seen == {whole}


def test_a_full_disk_leaves_no_partial_file(tmp_path: Path) -> None:
    """In a separate process with a file size limit of 10 kB, so that the kernel interrupts a write."""
    run = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(["src", "."])},
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert run.stdout.splitlines() == [f"PeerUnavailable False {tmp_path}: File too large", "Receipt"]
    assert [file.suffix for file in tmp_path.iterdir()] == [".eml"]


FULL_DISK = """
import asyncio, resource, signal, sys
from adapters.mail.folder_mailer import FolderMailer
from tests.integration.test_smtp import after, mail

async def send(text):
    try:
        print(type(await FolderMailer(sys.argv[1], "herald@example.com").send(mail(text=text), after(10))).__name__)
    except Exception as fault:
        print(type(fault).__name__, fault.refused_us, fault)

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
asyncio.run(send("x" * 20_000))
asyncio.run(send("short"))
"""


# Reading the CA file.


def test_a_missing_ca_file_is_reported_immediately(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        SmtpMailer(SmtpSettings("127.0.0.1", security="tls", cafile=str(tmp_path / "none.pem")))


def test_a_user_without_a_password_is_refused() -> None:
    with pytest.raises(ValueError, match="go together"):
        SmtpSettings("127.0.0.1", user="herald").check()
