"""Why a connection ended or was refused, and what to do then: the table of docs/clients.md as code."""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import Enum
from typing import Any, Final

import msgspec

from herald_client.addresses import without_secrets

# The code of a connection that broke without a close frame (RFC 6455, section 7.1.5).
BROKEN: Final = 1006

TOO_LARGE: Final = 1009
TOKEN_EXPIRED: Final = 4401


class Reaction(Enum):
    """What to do after a connection has ended."""

    RECONNECT = "reconnect"
    NEW_TOKEN = "reconnect with a new token"  # noqa: S105 - no secret
    STOP = "stop"


class Stopped(Exception):
    """The service refuses this client: connecting again as before would fail again. `code` is a close code or an HTTP
    status, None if there was neither."""

    def __init__(self, code: int | None, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class ConnectionEnded(Exception):
    """A connection has ended, or could not be opened. `wait_s` is the time after which the service asks to reconnect;
    `is_jittered` says that it asks each client for another, so that none has to be added."""

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
    """The meaning of a close code. `reconnect_in` is from `bye`, another for each client."""
    if code == TOKEN_EXPIRED:
        reaction = Reaction.NEW_TOKEN
    elif code == TOO_LARGE or 4500 <= code <= 4999:
        # 1009: this client sent a message that is too large, and would send it again.
        reaction = Reaction.STOP
    else:
        # Codes that are not Herald's come from proxies and networks: temporary failures.
        reaction = Reaction.RECONNECT
    text = reason or _REASONS.get(code, f"closed with {code}")
    return ConnectionEnded(text, code, reaction, reconnect_in, is_jittered=True)


def after_refusal(status: int, headers: Any, body: bytes, phrase: str) -> ConnectionEnded:
    """The meaning of an HTTP status that answers a handshake."""
    reason = _problem(body) or f"refused with {status} {phrase}".rstrip()
    if 300 <= status <= 399 and (target := headers.get("Location")) is not None:
        # A proxy's redirect, which usually repeats the query of this client.
        reason = f"redirected to {without_secrets(target)}, which is not followed"
    if status == 401:
        # Herald closes with 4401 instead, which clients can see. This is a gateway that checks tokens as well.
        reaction = Reaction.NEW_TOKEN
    elif status in _RETRYABLE or status >= 500:
        reaction = Reaction.RECONNECT
    else:
        reaction = Reaction.STOP
    return ConnectionEnded(reason, status, reaction, retry_after(headers.get("Retry-After"), datetime.now(UTC)))


def retry_after(value: str | None, now: datetime) -> float | None:
    """Seconds, from a number or a date (RFC 9110, section 10.2.3); None if it is neither."""
    if value is None:
        return None
    if value.strip().isascii() and value.strip().isdigit():
        return float(value)
    try:
        date = parsedate_to_datetime(value)
    except ValueError:
        return None
    return max(0.0, (date.replace(tzinfo=date.tzinfo or UTC) - now).total_seconds())


# Request Timeout, Too Early, Too Many Requests.
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
    """Title and detail of an RFC 9457 problem; empty if the body is not one."""
    try:
        problem = msgspec.json.decode(body, type=_Problem)
    except msgspec.DecodeError:
        return ""
    return ": ".join(part for part in ((problem.title or "").rstrip("."), problem.detail) if part)
