"""Mails in their wire format: RFC 5322 and MIME.

Written by hand, without `email.message`: that parses headers in order to write them, and decodes text in an address or
a subject that merely looks like an encoded word (RFC 2047), line breaks included. It also takes ten times as long.
"""

import base64
import binascii
import re
from email.utils import format_datetime, quote
from typing import Final

import msgspec

from adapters.mail.mailer import OutgoingMail
from application.delivery.channel import Refused
from domain.addresses import as_address, ascii_domain, fault_in_address, split_mailbox
from domain.deliveries import subject_line

# Maximum size of an encoded word, in bytes before base64: 52 characters after it. With its delimiters and "Subject: "
# the line is still below the 76 characters that RFC 2047 allows.
_WORD: Final = 39
# Quoted-printable adds two bytes for each byte that is not ASCII; base64 adds a third of the total.
_MOSTLY_STRANGE: Final = 6
_ASCII: Final = bytes(range(128))
_ATOMS: Final = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~ -]*\Z")
_HEADER_NAME: Final = re.compile(r"[A-Za-z0-9-]+\Z")
# Maximum length of a line in characters, without CRLF (RFC 5322, section 2.1.1).
_MAX_LINE: Final = 998
_ID: Final = re.compile(r"[A-Za-z0-9-]{1,64}\Z")


class Sender(msgspec.Struct, frozen=True):
    """The sender of mails: its From header, and its address for the SMTP envelope."""

    header: str
    address: str

    @property
    def domain(self) -> str:
        return self.address.rpartition("@")[2]


class Composed(msgspec.Struct, frozen=True):
    """A mail in bytes, in lines of at most 998 characters that end with CRLF, and its envelope addresses, whose domains
    are in ASCII. Only their local parts may contain other characters, and then the whole mail needs SMTPUTF8 (RFC
    6531).
    """

    id: str
    sender: str
    recipient: str
    content: bytes

    @property
    def utf8(self) -> bool:
        return not (self.sender.isascii() and self.recipient.isascii())


def sender_of(text: str) -> Sender:
    """The sender for an address, or for `Name <address>`. Raises ValueError."""
    name, found = split_mailbox(text)
    address = as_address(found)
    if fault := fault_in_address(address) or (None if text.isprintable() else "it has a line break or its like in it"):
        raise ValueError(f"no mail can be from {text!r}: {fault}")
    address = _with_ascii_domain(address)
    if not name:
        return Sender(address, address)
    if not name.isascii():
        return Sender(f"{_encoded(name)}\r\n <{address}>", address)
    return Sender(f"{name if _ATOMS.match(name) else _quoted(name)} <{address}>", address)


def compose(mail: OutgoingMail, sender: Sender) -> Composed:
    """Compose a mail. Raises Refused for an invalid address, so that no address can inject a header or a command, and
    ValueError for an invalid id or header.
    """
    if fault := fault_in_address(mail.to):
        raise Refused(f"no mail can be sent to {mail.to!r}: {fault}")
    if not _ID.match(mail.id):
        raise ValueError(f"{mail.id!r} names no mail")
    recipient = _with_ascii_domain(mail.to)
    # "=_" occurs in no line of quoted-printable or base64 (RFC 2045, section 6.7), so no text can end its part.
    boundary = f"=_{mail.id}"
    head = (
        f"From: {sender.header}\r\n"
        f"To: {recipient}\r\n"
        f"Subject: {_unstructured(subject_line(mail.subject))}\r\n"
        f"Date: {format_datetime(mail.date)}\r\n"
        f"Message-ID: <{mail.id}@{sender.domain}>\r\n"
        # RFC 3834: prevents automatic replies such as holiday notices.
        "Auto-Submitted: auto-generated\r\n"
        f"{''.join(_header(name, value) for name, value in mail.headers)}"
        "MIME-Version: 1.0\r\n"
        f'Content-Type: multipart/alternative;\r\n boundary="{boundary}"\r\n\r\n'
    )
    between = f"--{boundary}\r\n".encode()
    content = b"".join(
        # Clients show the last alternative that they support (RFC 2046, section 5.1.4).
        (head.encode(), between, _part("plain", mail.rendered.text), between, _part("html", mail.rendered.html))
    )
    return Composed(mail.id, sender.address, recipient, content + f"--{boundary}--\r\n".encode())


def _part(subtype: str, text: str) -> bytes:
    # b2a_qp copies the style of the first line end, so the text has to contain one: it always ends with one.
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    body = f"{text}\n".replace("\n", "\r\n").encode(errors="replace")
    if len(body.translate(None, _ASCII)) * _MOSTLY_STRANGE > len(body):
        encoding, encoded = "base64", base64.encodebytes(body).replace(b"\n", b"\r\n")
    else:
        encoding, encoded = "quoted-printable", binascii.b2a_qp(body)
    head = f"Content-Type: text/{subtype}; charset=utf-8\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n"
    return b"".join((head.encode(), encoded, b"\r\n"))


def _header(name: str, value: str) -> str:
    """An additional header. Raises ValueError for a value that would begin another header, or exceed the line length of
    RFC 5322.
    """
    line = f"{name}: {value}"
    if not _HEADER_NAME.match(name) or not (value.isascii() and value.isprintable()) or len(line) > _MAX_LINE:
        raise ValueError(f"{name!r} can't be a header, or not with this value")
    return f"{line}\r\n"


def _unstructured(text: str) -> str:
    """A text of at most domain.deliveries.MAX_SUBJECT_LENGTH characters as a header value. At that length, a line of
    ASCII need not be folded.
    """
    return text if text.isascii() and "=?" not in text else _encoded(text)


def _encoded(text: str) -> str:
    """The text as encoded words, none of which splits a character."""
    words = [b""]
    for character in text:
        piece = character.encode(errors="replace")
        if len(words[-1]) + len(piece) > _WORD:
            words.append(b"")
        words[-1] += piece
    return "\r\n ".join(f"=?utf-8?b?{base64.b64encode(word).decode()}?=" for word in words)


def _quoted(name: str) -> str:
    return f'"{quote(name)}"'


def _with_ascii_domain(address: str) -> str:
    local, _, domain = address.rpartition("@")
    return f"{local}@{ascii_domain(domain)}"
