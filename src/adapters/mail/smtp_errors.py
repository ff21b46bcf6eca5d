"""Converts error replies of a mail server, and failures of its connections, to exceptions."""

import ssl
from collections.abc import Iterable
from typing import Final

from aiosmtplib import SMTPResponse, SMTPResponseException

from application.delivery.channel import Deferred, NotSent, PeerUnavailable, Refused
from domain.deliveries import MAX_REPLY_LENGTH
from domain.text import one_line

# The code with which a server may reply to any command before it closes the connection (RFC 5321, section 3.8).
SHUTTING_DOWN: Final = 421
# "Authentication required" and "encryption required" (RFC 4954, section 6): they concern all mails, not an individual
# one.
_NOT_FROM_US: Final = (530, 538)


class HungUp(Deferred):
    """The connection was lost, or the server has replied that it closes the connection."""


def reply_line(text: str) -> str:
    """Returns the server's reply, which may have 32 KB, as a short line that is safe to store and display."""
    return one_line(text, MAX_REPLY_LENGTH)


def objection(step: str, answer: SMTPResponse) -> NotSent:
    """Returns the exception for an unexpected reply to MAIL, RCPT, DATA or the content of the mail."""
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
    """Returns the exception for an invalid reply. The connection can't be used any more, because it is unknown to which
    command a later reply belongs.
    """
    return Deferred(reply_line(f"invalid reply to {step}: {answer}"))


def away(fault: Exception, secrets: Iterable[str] = ()) -> PeerUnavailable:
    """Returns the exception for a connection that could not be opened. `secrets` are masked in the text, because the
    server may repeat them in its reply.
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
