"""Mails in wire format."""

import email
import email.policy
import re
from datetime import UTC, datetime
from email.header import decode_header, make_header
from email.message import EmailMessage

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.mail.mailer import OutgoingMail
from adapters.mail.mime import compose, sender_of
from application.delivery.channel import Refused
from application.ports.mail_folder import RenderedMail

ID = "0195f0b8c5a07c3e8b7c0a1b2c3d4e5f"
HEADERS = ["From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "MIME-Version", "Content-Type"]

# Texts with difficult characters.
awkward = st.lists(
    st.sampled_from(
        ["\r\n", "\n", "\r", ".", "..", "=", "--", "=_", " ", "\t", "\0", "From ", "日本", "é", "x" * 90, "🎉"]
    )
    | st.text(max_size=20)
).map("".join)


def content(subject: str = "Order 7", html: str = "<p>x</p>", text: str = "x", sender: str = "a@b.example") -> bytes:
    mail = OutgoingMail(ID, "ann@example.com", subject, datetime(2026, 3, 1, tzinfo=UTC), RenderedMail(html, text))
    return compose(mail, sender_of(sender)).content


def parsed(raw: bytes) -> EmailMessage:
    return email.message_from_bytes(raw, policy=email.policy.SMTP)


def with_plain_line_ends(text: str) -> str:
    return re.sub(r"\r\n|\r", "\n", text)


@given(html=awkward, text=awkward)
def test_any_text_round_trips(html: str, text: str) -> None:
    raw = content(html=html, text=text)
    assert raw.isascii()
    assert b"\0" not in raw
    assert raw.count(b"\n") == raw.count(b"\r") == raw.count(b"\r\n")
    assert max(map(len, raw.split(b"\r\n"))) <= 78
    plain, rich = parsed(raw).iter_parts()
    for part, meant in ((plain, text), (rich, html)):
        payload = part.get_payload(decode=True)
        assert isinstance(payload, bytes)
        assert payload.decode().replace("\r\n", "\n") == with_plain_line_ends(meant) + "\n"


@given(subject=awkward)
def test_any_subject_is_one_header(subject: str) -> None:
    raw = content(subject)
    head = raw.partition(b"\r\n\r\n")[0]
    names = [line.split(b":")[0].decode() for line in head.split(b"\r\n") if not line.startswith(b" ")]
    assert names == HEADERS
    assert max(map(len, head.split(b"\r\n"))) <= 998


@given(subject=st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1, max_size=255))
def test_a_printable_subject_is_unchanged(subject: str) -> None:
    head = content(subject).partition(b"\r\n\r\n")[0]
    assert parsed(head + b"\r\n\r\n")["Subject"] == subject
    assert all(len(line) <= 76 for line in head.split(b"\r\n") if b"=?utf-8?" in line)


def test_the_longest_ascii_subject_is_one_line() -> None:
    assert parsed(content("x" * 300))["Subject"] == "x" * 254 + "…"
    assert f"Subject: {'x' * 255}\r\n".encode() in content("x" * 255)


@pytest.mark.parametrize(
    ("sender", "name", "address"),
    [
        ("herald@example.com", "", "herald@example.com"),
        ("Herald <herald@Example.com>", "Herald", "herald@example.com"),
        ('"Bücher, GmbH" <herald@bücher.example>', "Bücher, GmbH", "herald@xn--bcher-kva.example"),
        # Special characters without the quotes that the standard requires, as people write them.
        ("Shop, Ltd. <noreply@example.com>", "Shop, Ltd.", "noreply@example.com"),
        ("Shop: A <noreply@example.com>", "Shop: A", "noreply@example.com"),
        ('"Shop <a@b.example>" <noreply@example.com>', "Shop <a@b.example>", "noreply@example.com"),
        ('"Shop, Inc. \\"7\\"" <shop@example.com>', 'Shop, Inc. "7"', "shop@example.com"),
    ],
)
def test_a_sender_has_the_configured_name(sender: str, name: str, address: str) -> None:
    (found,) = parsed(content(sender=sender))["From"].addresses
    assert (found.display_name, found.addr_spec) == (name, address)
    assert sender_of(sender).address == address
    assert f"Message-ID: <{ID}@{address.partition('@')[2]}>\r\n".encode() in content(sender=sender)


def test_a_long_name_takes_several_encoded_words() -> None:
    name = " ".join(["Grüße"] * 30)
    raw = content(sender=f"{name} <g@example.com>")
    # Not by `addresses`, which keeps the spaces between encoded words.
    written = email.message_from_bytes(raw)["From"]
    assert str(make_header(decode_header(written))) == f"{name} <g@example.com>"
    assert all(len(line) <= 76 for line in raw.split(b"\r\n") if b"=?utf-8?" in line)


@pytest.mark.parametrize(
    "sender",
    [
        "",
        "Herald",
        "Herald <herald>",
        "a@b.example\r\nBcc: c@d.example",
        "<a b@c.example>",
        "A <a@b.example>, B <c@d.example>",
    ],
)
def test_an_invalid_sender_is_refused(sender: str) -> None:
    with pytest.raises(ValueError, match="no mail can be from"):
        sender_of(sender)


@given(address=st.text() | awkward.map(lambda text: f"{text}@example.com") | awkward.map(lambda text: f"ann@{text}"))
def test_an_address_is_refused_or_is_one_header(address: str) -> None:
    mail = OutgoingMail(ID, address, "Order 7", datetime(2026, 3, 1, tzinfo=UTC), RenderedMail("x", "x"))
    try:
        composed = compose(mail, sender_of("a@b.example"))
    except Refused:
        return
    head = composed.content.partition(b"\r\n\r\n")[0].decode()
    assert [line.split(":")[0] for line in head.split("\r\n") if not line.startswith(" ")] == HEADERS
    assert not set(composed.recipient) & set(' <>,;:"\r\n\0')


def test_an_invalid_mail_id_is_an_internal_error() -> None:
    mail = OutgoingMail(
        "a>\r\nBcc: b", "ann@example.com", "Order 7", datetime(2026, 3, 1, tzinfo=UTC), RenderedMail("x", "x")
    )
    with pytest.raises(ValueError, match="is not a valid mail id"):
        compose(mail, sender_of("a@b.example"))


def test_mostly_non_ascii_text_is_base64_encoded() -> None:
    encodings = [
        part["Content-Transfer-Encoding"]
        for part in parsed(content(html="日本" * 100, text="e" * 90 + "é")).iter_parts()
    ]
    assert encodings == ["quoted-printable", "base64"]
