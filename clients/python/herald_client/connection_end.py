"""Decides what the client does after a connection has ended or a handshake was refused: reconnect, reconnect with a new
token, or stop. It implements the table "When to reconnect" of docs/clients.md."""

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
    """What the client does after a connection has ended: reconnect, reconnect with a new token, or stop."""

    RECONNECT = "reconnect"
    NEW_TOKEN = "reconnect with a new token"  # noqa: S105 - no secret
    STOP = "stop"


class Stopped(Exception):
    """Raised to the caller of the Listener if Herald refuses this client and a reconnect would be refused too. `code`
    is the WebSocket close code or the HTTP status of the refused handshake; None if Herald sent neither."""

    def __init__(self, code: int | None, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class ConnectionEnded(Exception):
    """A connection has ended, or could not be opened. Raised inside the client; callers receive an Away or Stopped
    instead.

    `reaction` says whether the client reconnects. `wait_s` is the delay before the reconnect that Herald requests, in
    seconds; None if Herald requests none. If it comes from `bye`, `is_jittered` is True: Herald has chosen a different
    delay for each client, so the client waits exactly `wait_s`. If it comes from the header `Retry-After`, the client
    adds its own backoff, so that the clients do not all reconnect at the same time.
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
    """Returns the exception for a connection that was closed with this WebSocket close code; its `reaction` says
    whether the client reconnects. `reconnect_in` is the delay in seconds that Herald requests in `bye`; None if it
    requests none."""
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
    """Returns the exception for a handshake that was refused with this HTTP status; its `reaction` says whether the
    client reconnects. `phrase` is the reason phrase of the response, such as "Forbidden"."""
    reason = _problem_text(body) or f"refused with {status} {phrase}".rstrip()
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
    """Returns the delay in seconds that a `Retry-After` header requests. Its value is a number of seconds or an HTTP
    date. Returns None if the header is missing or invalid, and 0 for a date in the past."""
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


def _problem_text(body: bytes) -> str:
    """Returns "title: detail" of a JSON error response (RFC 9457), to show to the user; "" if the body has another
    format."""
    try:
        problem = msgspec.json.decode(body, type=_Problem)
    except msgspec.DecodeError:
        return ""
    return ": ".join(part for part in ((problem.title or "").rstrip("."), problem.detail) if part)
