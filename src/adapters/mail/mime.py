"""Mails as they go over the wire: RFC 5322 and MIME.

Written by hand, not by `email.message`: that takes headers apart to write them, and reads an encoded word (RFC 2047)
out of an address or a subject that merely looks like one, line breaks and all. And it takes ten times as long.
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

# Of an encoded word, in bytes before base64: 52 characters then, and with what is around them and "Subject: " still
# under the 76 that RFC 2047 lets a line have.
_WORD: Final = 39
# Quoted-printable takes two bytes more for each that is not ASCII, base64 a third more for all of them.
_MOSTLY_STRANGE: Final = 6
_ASCII: Final = bytes(range(128))
_ATOMS: Final = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~ -]*\Z")
_HEADER_NAME: Final = re.compile(r"[A-Za-z0-9-]+\Z")
# RFC 5322, section 2.1.1: characters of a line, without CRLF.
_MAX_LINE: Final = 998
_ID: Final = re.compile(r"[A-Za-z0-9-]{1,64}\Z")


class Sender(msgspec.Struct, frozen=True):
    """Who mails are from, as the header says it, and as the server is told it."""

    header: str
    address: str

    @property
    def domain(self) -> str:
        return self.address.rpartition("@")[2]


class Composed(msgspec.Struct, frozen=True):
    """A mail in bytes, its lines ended by CRLF and no longer than 998, with the addresses that its server is told,
    their domains in ASCII. Only what stands before the @ may be beyond it, and then all takes SMTPUTF8 (RFC 6531)."""

    id: str
    sender: str
    recipient: str
    content: bytes

    @property
    def utf8(self) -> bool:
        return not (self.sender.isascii() and self.recipient.isascii())


def sender_of(text: str) -> Sender:
    """From an address, or `Name <address>`. Raises ValueError."""
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
    """Raises Refused for an address that is none: whatever it holds, it begins no header and no command."""
    if fault := fault_in_address(mail.to):
        raise Refused(f"no mail can be sent to {mail.to!r}: {fault}")
    if not _ID.match(mail.id):
        raise ValueError(f"{mail.id!r} names no mail")
    recipient = _with_ascii_domain(mail.to)
    # "=_" is in no line of quoted-printable nor of base64 (RFC 2045, section 6.7), so no text can end its part.
    boundary = f"=_{mail.id}"
    head = (
        f"From: {sender.header}\r\n"
        f"To: {recipient}\r\n"
        f"Subject: {_unstructured(subject_line(mail.subject))}\r\n"
        f"Date: {format_datetime(mail.date)}\r\n"
        f"Message-ID: <{mail.id}@{sender.domain}>\r\n"
        # RFC 3834: nobody's holiday notice answers it.
        "Auto-Submitted: auto-generated\r\n"
        f"{''.join(_header(name, value) for name, value in mail.headers)}"
        "MIME-Version: 1.0\r\n"
        f'Content-Type: multipart/alternative;\r\n boundary="{boundary}"\r\n\r\n'
    )
    between = f"--{boundary}\r\n".encode()
    content = b"".join(
        # The last is the one that is shown where all can be (RFC 2046, section 5.1.4).
        (head.encode(), between, _part("plain", mail.rendered.text), between, _part("html", mail.rendered.html))
    )
    return Composed(mail.id, sender.address, recipient, content + f"--{boundary}--\r\n".encode())


def _part(subtype: str, text: str) -> bytes:
    # It ends with a line end: from the first one, b2a_qp takes what lines are to end with.
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    body = f"{text}\n".replace("\n", "\r\n").encode(errors="replace")
    if len(body.translate(None, _ASCII)) * _MOSTLY_STRANGE > len(body):
        encoding, encoded = "base64", base64.encodebytes(body).replace(b"\n", b"\r\n")
    else:
        encoding, encoded = "quoted-printable", binascii.b2a_qp(body)
    head = f"Content-Type: text/{subtype}; charset=utf-8\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n"
    return b"".join((head.encode(), encoded, b"\r\n"))


def _header(name: str, value: str) -> str:
    """A further header. Raises ValueError for what would begin another one, or makes a line too long for RFC 5322."""
    line = f"{name}: {value}"
    if not _HEADER_NAME.match(name) or not (value.isascii() and value.isprintable()) or len(line) > _MAX_LINE:
        raise ValueError(f"{name!r} can't be a header, or not with this value")
    return f"{line}\r\n"


def _unstructured(text: str) -> str:
    """Of at most domain.deliveries.MAX_SUBJECT_LENGTH characters, so that a line of ASCII need not be folded."""
    return text if text.isascii() and "=?" not in text else _encoded(text)


def _encoded(text: str) -> str:
    """As encoded words, none of which splits a character."""
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
