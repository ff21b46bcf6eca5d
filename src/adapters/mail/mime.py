"""Encodes mails in the format of e-mail (RFC 5322 and MIME).

This module does not use `email.message`, which decodes every header before it writes it. A subject that looks like an
encoded word (`=?utf-8?q?…?=`, RFC 2047) would be changed, and could even get a line break. `email.message` also takes
ten times as long.
"""

import base64
import binascii
import re
from email.utils import format_datetime, quote
from typing import Final

import msgspec

from adapters.mail.mailer import OutgoingMail
from application.delivery.channel import Refused
from domain.deliveries import subject_line
from domain.email_addresses import as_address, ascii_domain, fault_in_address, split_mailbox

# Maximum size of the text in an encoded word, in bytes; base64 makes 52 characters of them. With its delimiters and
# "Subject: ", the line is shorter than the 76 characters that RFC 2047 allows.
_WORD: Final = 39
# If more than a sixth of the bytes of a text are not ASCII, base64 is shorter: quoted-printable adds two bytes for each
# of them, base64 adds a third of the total.
_MOSTLY_STRANGE: Final = 6
_ASCII: Final = bytes(range(128))
_ATOMS: Final = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~ -]*\Z")
_HEADER_NAME: Final = re.compile(r"[A-Za-z0-9-]+\Z")
# Maximum length of a line in characters, without CRLF (RFC 5322, section 2.1.1).
_MAX_LINE: Final = 998
_ID: Final = re.compile(r"[A-Za-z0-9-]{1,64}\Z")


class Sender(msgspec.Struct, frozen=True):
    """The sender of mails: the value of the header From, and the address for the SMTP command MAIL."""

    header: str
    address: str

    @property
    def domain(self) -> str:
        return self.address.rpartition("@")[2]


class Composed(msgspec.Struct, frozen=True):
    """A mail that `compose` has encoded, with the addresses for the SMTP commands MAIL (`sender`) and RCPT
    (`recipient`).

    `content` consists of lines of at most 998 characters that end with CRLF. The domains of both addresses are ASCII
    (IDNA). `utf8` is true if one of the addresses has a non-ASCII character before the @. The mail server must support
    the extension SMTPUTF8 (RFC 6531) then.
    """

    id: str
    sender: str
    recipient: str
    content: bytes

    @property
    def utf8(self) -> bool:
        return not (self.sender.isascii() and self.recipient.isascii())


def sender_of(text: str) -> Sender:
    """Parses the sender of mails: an address, or `Name <address>`. Raises ValueError if the address is invalid or
    the text contains a control character."""
    name, found = split_mailbox(text)
    address = as_address(found)
    if fault := fault_in_address(address) or (
        None if text.isprintable() else "it contains a line break or another control character"
    ):
        raise ValueError(f"no mail can be from {text!r}: {fault}")
    address = _with_ascii_domain(address)
    if not name:
        return Sender(address, address)
    if not name.isascii():
        return Sender(f"{_encoded(name)}\r\n <{address}>", address)
    return Sender(f"{name if _ATOMS.match(name) else _quoted(name)} <{address}>", address)


def compose(mail: OutgoingMail, sender: Sender) -> Composed:
    """Returns the mail, encoded for SMTP. Raises Refused if the recipient's address is invalid, because such an
    address could inject a header or an SMTP command. Raises ValueError if the id or an additional header is invalid."""
    if fault := fault_in_address(mail.to):
        raise Refused(f"no mail can be sent to {mail.to!r}: {fault}")
    if not _ID.match(mail.id):
        raise ValueError(f"{mail.id!r} is not a valid mail id")
    recipient = _with_ascii_domain(mail.to)
    # "=_" occurs in no line of quoted-printable or base64 (RFC 2045, section 6.7), so no text can end its part.
    boundary = f"=_{mail.id}"
    head = (
        f"From: {sender.header}\r\n"
        f"To: {recipient}\r\n"
        f"Subject: {_subject_value(subject_line(mail.subject))}\r\n"
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
    # b2a_qp uses the kind of line end that occurs first in the text, so a CRLF is appended in case the text has none.
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    body = f"{text}\n".replace("\n", "\r\n").encode(errors="replace")
    if len(body.translate(None, _ASCII)) * _MOSTLY_STRANGE > len(body):
        encoding, encoded = "base64", base64.encodebytes(body).replace(b"\n", b"\r\n")
    else:
        encoding, encoded = "quoted-printable", binascii.b2a_qp(body)
    head = f"Content-Type: text/{subtype}; charset=utf-8\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n"
    return b"".join((head.encode(), encoded, b"\r\n"))


def _header(name: str, value: str) -> str:
    """Returns an additional header as a line that ends with CRLF. Raises ValueError if the name is invalid, if the
    value contains anything but printable ASCII (a line break would begin another header), or if the line has more
    than 998 characters, the limit of RFC 5322."""
    line = f"{name}: {value}"
    if not _HEADER_NAME.match(name) or not (value.isascii() and value.isprintable()) or len(line) > _MAX_LINE:
        raise ValueError(f"the header {name!r} has an invalid name or value")
    return f"{line}\r\n"


def _subject_value(text: str) -> str:
    """Returns the subject as the value of a header: unchanged if it is ASCII and does not contain `=?`, otherwise as
    encoded words (RFC 2047). An unchanged subject is not divided into lines, so it must be short:
    domain.deliveries.subject_line ensures that."""
    return text if text.isascii() and "=?" not in text else _encoded(text)


def _encoded(text: str) -> str:
    """Returns the text as encoded words (RFC 2047), one on each line. A character is never divided between two
    words."""
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
