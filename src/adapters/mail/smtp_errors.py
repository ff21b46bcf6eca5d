"""Classification of a mail server's answers and failures."""

import ssl
from collections.abc import Iterable
from typing import Final

from aiosmtplib import SMTPResponse, SMTPResponseException

from application.delivery.channel import Deferred, NotSent, PeerUnavailable, Refused
from domain.deliveries import MAX_REPLY_LENGTH
from domain.text import one_line

# 421 ("service shutting down") may be the answer to any command: RFC 5321, section 3.8.
SHUTTING_DOWN: Final = 421
# "Authentication required" and "encryption required": RFC 4954, section 6. They do not concern the individual mail.
_NOT_FROM_US: Final = (530, 538)


class HungUp(Deferred):
    """The connection was lost, or the server has announced that it closes it."""


def reply_line(text: str) -> str:
    """The server's reply, which may have 32 KB, as one line that is safe to store and display."""
    return one_line(text, MAX_REPLY_LENGTH)


def objection(step: str, answer: SMTPResponse) -> NotSent:
    """The error for an unexpected answer to MAIL, RCPT or DATA, or to the content of the mail."""
    code, text = answer.code, reply_line(answer.message)
    if code == SHUTTING_DOWN:
        return HungUp(text, code)
    if 400 <= code <= 499:
        return Deferred(text, code)
    if step == "MAIL" and code in _NOT_FROM_US:
        return PeerUnavailable(text, code, refused_us=True)
    if 500 <= code <= 599:
        return Refused(text, code)
    return nonsense(step, f"{code} {text}")


def nonsense(step: str, answer: str) -> Deferred:
    """The error for an invalid answer. Later answers can't be assigned to commands any more, so the connection is
    unusable.
    """
    return Deferred(reply_line(f"the answer to {step} makes no sense: {answer}"))


def away(fault: Exception, secrets: Iterable[str] = ()) -> PeerUnavailable:
    """The error for a connection that can't be opened, whatever the reason. `secrets` are masked in the
    server's text.
    """
    code = fault.code if isinstance(fault, SMTPResponseException) else None
    words = str(fault.message) if isinstance(fault, SMTPResponseException) else str(fault) or type(fault).__name__
    for secret in secrets:
        words = words.replace(secret, "***")
    answered_5xx = code is not None and 500 <= code <= 599
    # A ValueError means that the host name or the user name can't be encoded.
    ours = answered_5xx or isinstance(fault, ValueError) or any(isinstance(one, ssl.SSLError) for one in _chain(fault))
    return PeerUnavailable(reply_line(words), code if code and 200 <= code <= 599 else None, refused_us=ours)


def _chain(fault: BaseException | None) -> Iterable[BaseException]:
    while fault is not None:
        yield fault
        fault = fault.__cause__
