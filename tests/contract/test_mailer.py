"""The Mailer port, on every adapter."""

import asyncio
import email
import email.policy
import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from email.message import EmailMessage
from pathlib import Path

import msgspec
import pytest
import uuid_utils.compat

from adapters.mail.folder_mailer import FolderMailer
from adapters.mail.mailer import Mailer, OutgoingMail
from adapters.mail.settings import SmtpSettings
from adapters.mail.smtp_mailer import SmtpMailer
from application.delivery.channel import Deferred, Refused
from application.ports.mail_folder import RenderedMail
from tests.support.smtp import Mailbox

SENDER = "Grüße aus dem Büro <herald@bücher.example>"
RENDERED = RenderedMail(
    html="<p>Grüße &amp; <b>日本</b> 🎉</p>\n.\n.hidden\n--=_\n" + "<i>x</i>" * 500,
    text="Grüße, 日本 🎉\n.\n.hidden\n--=_\nFrom here  \n" + "word " * 500,
)


class Rig(msgspec.Struct, frozen=True):
    """One adapter, and a function that reads the mails it sent."""

    mailer: Mailer
    read: Callable[[], list[EmailMessage]]


@pytest.fixture(params=["smtp", "folder"])
async def rig(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Rig]:
    if request.param == "folder":
        folder = tmp_path / "var" / "mail"
        rig = Rig(FolderMailer(str(folder), SENDER), lambda: in_folder(folder))
        yield rig
        await rig.mailer.close()
        return
    with Mailbox() as mailbox:
        settings = SmtpSettings(mailbox.host, mailbox.port, SENDER, connections=3)
        rig = Rig(SmtpMailer(settings), lambda: [mail.message for mail in mailbox.mails])
        yield rig
        await rig.mailer.close()


def in_folder(folder: Path) -> list[EmailMessage]:
    files = sorted(folder.glob("*")) if folder.exists() else []
    assert all(file.suffix == ".eml" for file in files), files
    return [email.message_from_bytes(file.read_bytes(), policy=email.policy.SMTPUTF8) for file in files]


def mail(to: str = "ann@example.com", subject: str = "Order 7", rendered: RenderedMail = RENDERED) -> OutgoingMail:
    return OutgoingMail(
        uuid_utils.compat.uuid7().hex, to, subject, datetime(2026, 3, 1, 12, 0, 7, tzinfo=UTC), rendered
    )


def soon() -> float:
    return time.monotonic() + 20


def body(message: EmailMessage, kind: str) -> str:
    part = message.get_body((kind,))
    assert part is not None
    return str(part.get_content()).replace("\r\n", "\n")


async def test_a_mail_is_sent_once_and_unchanged(rig: Rig) -> None:
    sent = mail(subject="Grüße, 日本: your order № 7 has been received by all of us at the other end of the world 🎉")
    receipt = await rig.mailer.send(sent, soon())
    assert receipt.text
    (message,) = rig.read()
    assert message["Subject"] == sent.subject
    assert message["To"] == "ann@example.com"
    assert message["From"].addresses[0].display_name == "Grüße aus dem Büro"
    assert message["From"].addresses[0].addr_spec == "herald@xn--bcher-kva.example"
    assert message["Date"].datetime == sent.date
    assert message["Message-ID"] == f"<{sent.id}@xn--bcher-kva.example>"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message.get_content_type() == "multipart/alternative"
    assert [part.get_content_type() for part in message.iter_parts()] == ["text/plain", "text/html"]
    assert body(message, "plain") == RENDERED.text + "\n"
    assert body(message, "html") == RENDERED.html + "\n"
    assert not any(part.defects for part in message.walk())


async def test_a_repeated_mail_has_the_same_message_id(rig: Rig) -> None:
    sent = mail()
    await rig.mailer.send(sent, soon())
    await rig.mailer.send(sent, soon())
    assert {message["Message-ID"] for message in rig.read()} == {f"<{sent.id}@xn--bcher-kva.example>"}


async def test_concurrent_mails_all_arrive(rig: Rig) -> None:
    mails = [mail(to=f"user{number}@example.com") for number in range(40)]
    await asyncio.gather(*(rig.mailer.send(one, soon()) for one in mails))
    assert sorted(message["To"] for message in rig.read()) == sorted(one.to for one in mails)


@pytest.mark.parametrize("to", ["jürgen@example.com", "ann@bücher.example", "用户@例え.jp"])
async def test_names_beyond_ascii_are_accepted_in_addresses(rig: Rig, to: str) -> None:
    await rig.mailer.send(mail(to), soon())
    (message,) = rig.read()
    local, _, domain = to.rpartition("@")
    assert message["To"] == f"{local}@{domain.encode('idna').decode()}"


async def test_nothing_is_sent_after_the_deadline(rig: Rig) -> None:
    with pytest.raises(Deferred):
        await rig.mailer.send(mail(), time.monotonic())
    with pytest.raises(Deferred):
        await rig.mailer.send(mail(), time.monotonic() - 60)
    assert rig.read() == []


@pytest.mark.parametrize(
    "to",
    [
        "a@b.example\r\nBcc: c@d.example",
        "a@b.example\nBcc: c@d.example",
        "a\r\nRCPT TO:<c@d.example>@b.example",
        "a@b.example> SIZE=1 <c@d.example",
        "a@b.example, c@d.example",
        "Ann <a@b.example>",
        "a@b.example\0",
        "a b@c.example",
        "",
    ],
)
async def test_an_invalid_address_is_refused(rig: Rig, to: str) -> None:
    with pytest.raises(Refused):
        await rig.mailer.send(mail(to), soon())
    assert rig.read() == []


@pytest.mark.parametrize(
    "subject",
    [
        "Hello\r\nBcc: c@d.example",
        "Hello\nBcc: c@d.example\n\n<html>",
        "Hello\u2028Bcc: c@d.example",
        "=?utf-8?q?Hello=0D=0ABcc:_c=40d.example?=",
        "\x00\x0b\x0c\x85",
    ],
)
async def test_a_subject_cannot_inject_a_header(rig: Rig, subject: str) -> None:
    await rig.mailer.send(mail(subject=subject), soon())
    (message,) = rig.read()
    assert message["Bcc"] is None
    assert message.keys() == [
        *("From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "MIME-Version", "Content-Type")
    ]
    assert body(message, "html") == RENDERED.html + "\n"
    # Text that looks like an encoded word is shown as written.
    assert ("=?utf-8" in message["Subject"]) == ("=?utf-8" in subject)


async def test_an_address_that_looks_like_an_encoded_word_is_not_decoded(rig: Rig) -> None:
    to = "=?utf-8?q?Bcc=3A_x?=@example.com"
    await rig.mailer.send(mail(to), soon())
    (message,) = rig.read()
    assert message["Bcc"] is None


async def test_an_html_body_cannot_leave_its_part(rig: Rig) -> None:
    sent = mail()
    end = (
        f"</p>\r\n--=_{sent.id}--\r\n.\r\nMAIL FROM:<x@y.example>\r\n--=_{sent.id}\r\nContent-Type: text/html\r\n\r\nx"
    )
    await rig.mailer.send(msgspec.structs.replace(sent, rendered=RenderedMail(end, end)), soon())
    (message,) = rig.read()
    assert len(list(message.iter_parts())) == 2
    assert body(message, "html") == end.replace("\r\n", "\n") + "\n"


async def test_closing_is_quick_and_idempotent(rig: Rig) -> None:
    await rig.mailer.send(mail(), soon())
    async with asyncio.timeout(2):
        await rig.mailer.close()
        await rig.mailer.close()
    with pytest.raises(Deferred):
        await rig.mailer.send(mail(), soon())
    assert len(rig.read()) == 1


async def test_a_mailer_that_never_sent_can_be_closed(rig: Rig) -> None:
    await rig.mailer.close()
