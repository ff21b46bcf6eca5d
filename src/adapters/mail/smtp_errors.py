"""Converts error replies of the mail server, and failures of connections, to the exceptions of the port Channel
(Deferred, Refused, PeerUnavailable)."""

import ssl
from collections.abc import Iterable
from typing import Final

from aiosmtplib import SMTPResponse, SMTPResponseException

from application.delivery.channel import Deferred, NotSent, PeerUnavailable, Refused
from domain.deliveries import MAX_REPLY_LENGTH
from domain.safe_text import one_line

# The code with which a server may reply to any command before it closes the connection (RFC 5321, section 3.8).
SHUTTING_DOWN: Final = 421
# "Authentication required" and "encryption required" (RFC 4954, section 6): they concern all mails, not an individual
# one.
_NOT_FROM_US: Final = (530, 538)


class ConnectionLost(Deferred):
    """The connection to the mail server was lost, or the server has announced that it closes the connection (reply
    421)."""


def reply_line(text: str) -> str:
    """Returns a reply of the mail server as one line of at most MAX_REPLY_LENGTH characters without control
    characters, so that it can be stored and displayed. A server may send up to 32 KB."""
    return one_line(text, MAX_REPLY_LENGTH)


def error_for_reply(step: str, answer: SMTPResponse) -> NotSent:
    """Returns the exception for an error reply to MAIL, RCPT, DATA or the content of a mail: ConnectionLost for 421,
    Deferred for any other 4xx, PeerUnavailable for 530 and 538 to MAIL, Refused for any other 5xx. A reply with
    another code is invalid. `step` is the command, for the text."""
    code, text = answer.code, reply_line(answer.message)
    if code == SHUTTING_DOWN:
        return ConnectionLost(text, code)
    if 400 <= code <= 499:
        return Deferred(text, code)
    if step == "MAIL" and code in _NOT_FROM_US:
        return PeerUnavailable(text, code, refused_us=True)
    if 500 <= code <= 599:
        return Refused(text, code)
    return invalid_reply(step, f"{code} {text}")


def invalid_reply(step: str, answer: str) -> Deferred:
    """Returns the exception for a reply that is not valid SMTP. The connection must be closed, because it is unknown
    which command the next reply belongs to."""
    return Deferred(reply_line(f"invalid reply to {step}: {answer}"))


def connection_failure(fault: Exception, secrets: Iterable[str] = ()) -> PeerUnavailable:
    """Returns the PeerUnavailable for a connection that could not be opened. `secrets` are masked in its text,
    because the text may contain a reply in which the server repeats them."""
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
