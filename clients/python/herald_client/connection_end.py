"""Why a connection ended or was refused, and how to react: the table of docs/clients.md as code."""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import Enum
from typing import Any, Final

import msgspec

from herald_client.addresses import without_secrets

# The code for a connection that ended without a close frame (RFC 6455, section 7.1.5).
BROKEN: Final = 1006

TOO_LARGE: Final = 1009
TOKEN_EXPIRED: Final = 4401


class Reaction(Enum):
    """How to react to the end of a connection."""

    RECONNECT = "reconnect"
    NEW_TOKEN = "reconnect with a new token"  # noqa: S105 - no secret
    STOP = "stop"


class Stopped(Exception):
    """The service refuses this client, and every further attempt would be refused too. `code` is the close code or the
    HTTP status; None if there was neither.
    """

    def __init__(self, code: int | None, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class ConnectionEnded(Exception):
    """A connection has ended, or could not be opened.

    `reaction` is what the client should do. `wait_s` is the delay in seconds that the service requests before a
    reconnect; None if it requests none. With `is_jittered` the service has sent a different delay to each client, so
    the client adds no backoff to it.
    """

    def __init__(
        self,
        reason: str,
        code: int | None = None,
        reaction: Reaction = Reaction.RECONNECT,
        wait_s: float | None = None,
        is_jittered: bool = False,
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.code = code
        self.reaction = reaction
        self.wait_s = wait_s
        self.is_jittered = is_jittered


def after_close(code: int, reason: str, reconnect_in: float | None = None) -> ConnectionEnded:
    """Returns the reaction to a close code, as an exception to raise. `reconnect_in` is the delay in `bye`, in seconds;
    it is different for each client."""
    if code == TOKEN_EXPIRED:
        reaction = Reaction.NEW_TOKEN
    elif code == TOO_LARGE or 4500 <= code <= 4999:
        # 1009: this client sent a message that is too large, and a retry would send it again.
        reaction = Reaction.STOP
    else:
        # All other codes are failures that may be temporary, of the service, a proxy or the network.
        reaction = Reaction.RECONNECT
    text = reason or _REASONS.get(code, f"closed with {code}")
    return ConnectionEnded(text, code, reaction, reconnect_in, is_jittered=True)


def after_refusal(status: int, headers: Any, body: bytes, phrase: str) -> ConnectionEnded:
    """Returns the reaction to a refused handshake, as an exception to raise. `phrase` is the reason phrase of the
    response."""
    reason = _problem(body) or f"refused with {status} {phrase}".rstrip()
    if 300 <= status <= 399 and (target := headers.get("Location")) is not None:
        # A redirect of a proxy usually repeats the query of the request, which may contain a token.
        reason = f"redirected to {without_secrets(target)}, which is not followed"
    if status == 401:
        # Herald closes a socket with 4401 for an expired token. A 401 comes from a gateway that checks tokens too.
        reaction = Reaction.NEW_TOKEN
    elif status in _RETRYABLE or status >= 500:
        reaction = Reaction.RECONNECT
    else:
        reaction = Reaction.STOP
    return ConnectionEnded(reason, status, reaction, retry_after(headers.get("Retry-After"), datetime.now(UTC)))


def retry_after(value: str | None, now: datetime) -> float | None:
    """Returns the delay in seconds that the header `Retry-After` requests: its value is a number of seconds or a date
    (RFC 9110, section 10.2.3). None if it is neither."""
    if value is None:
        return None
    if value.strip().isascii() and value.strip().isdigit():
        return float(value)
    try:
        date = parsedate_to_datetime(value)
    except ValueError:
        return None
    return max(0.0, (date.replace(tzinfo=date.tzinfo or UTC) - now).total_seconds())


# The statuses Request Timeout, Too Early and Too Many Requests.
_RETRYABLE: Final = frozenset({408, 425, 429})

_REASONS: Final = {
    1000: "closed without a reason",
    1001: "the service is shutting down",
    1005: "closed without a reason",
    BROKEN: "the connection broke",
    1011: "internal error of the service",
    1012: "the service is restarting",
}


class _Problem(msgspec.Struct):
    title: str | None = None
    detail: str | None = None


def _problem(body: bytes) -> str:
    """Returns the title and detail of an RFC 9457 problem; empty if the body is not a problem."""
    try:
        problem = msgspec.json.decode(body, type=_Problem)
    except msgspec.DecodeError:
        return ""
    return ": ".join(part for part in ((problem.title or "").rstrip("."), problem.detail) if part)
