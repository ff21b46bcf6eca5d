"""What a mail server's answers, and their lack, mean for a mail."""

import ssl
from collections.abc import Iterable
from typing import Final

from aiosmtplib import SMTPResponse, SMTPResponseException

from application.delivery.channel import Deferred, NotSent, PeerUnavailable, Refused

# Of a server's words, in characters: more is not read, and an answer may have 32 KB.
LONGEST: Final = 500

# "The service shuts down" may be the answer to anything: RFC 5321, section 3.8.
SHUTTING_DOWN: Final = 421
# "Log in first", and "not without TLS": RFC 4954, section 6. No mail is at fault for these.
_NOT_FROM_US: Final = (530, 538)


class HungUp(Deferred):
    """The connection is lost, or the server has said that it closes it."""


def one_line(text: str) -> str:
    """What the server said, fit to be kept and shown."""
    text = "".join(character if character.isprintable() else " " for character in text[: 4 * LONGEST])
    line = " ".join(text.split())
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 1]}…"


def objection(step: str, answer: SMTPResponse) -> NotSent:
    """To an answer to MAIL, RCPT or DATA, or to the mail itself, that is not the one hoped for."""
    code, text = answer.code, one_line(answer.message)
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
    """After it, nobody knows which answer is to what: the connection is worth no more than a lost one."""
    return Deferred(one_line(f"the answer to {step} makes no sense: {answer}"))


def away(fault: Exception, secrets: Iterable[str] = ()) -> PeerUnavailable:
    """Of a connection that can't be had, whatever the reason. `secrets` are struck out of the server's words."""
    code = fault.code if isinstance(fault, SMTPResponseException) else None
    words = str(fault.message) if isinstance(fault, SMTPResponseException) else str(fault) or type(fault).__name__
    for secret in secrets:
        words = words.replace(secret, "***")
    answered_5xx = code is not None and 500 <= code <= 599
    # A ValueError is a host's or a user's name that can't be spoken.
    ours = answered_5xx or isinstance(fault, ValueError) or any(isinstance(one, ssl.SSLError) for one in _chain(fault))
    return PeerUnavailable(one_line(words), code if code and 200 <= code <= 599 else None, refused_us=ours)


def _chain(fault: BaseException | None) -> Iterable[BaseException]:
    while fault is not None:
        yield fault
        fault = fault.__cause__
