"""Why a connection ended, or never came to be, and what to do then: the table of docs/clients.md as code."""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import Enum
from typing import Any, Final

import msgspec

from herald_client.addresses import shown

# What RFC 6455 (7.1.5) calls a connection that broke without a close frame.
BROKEN: Final = 1006

TOO_LARGE: Final = 1009
TOKEN_EXPIRED: Final = 4401


class Then(Enum):
    """What follows."""

    RECONNECT = "reconnect"
    FRESH_TOKEN = "fresh token"  # noqa: S105 - no secret
    STOP = "stop"


class Stopped(Exception):
    """The service has said not to come back, or to come back differently. `code` is a close code or an HTTP status;
    None where there was neither."""

    def __init__(self, code: int | None, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class Ended(Exception):
    """There is no connection (any more). `wait` is the seconds that the service asked for; `is_spread` says that it has
    asked others for others, so that they will not all come at once."""

    def __init__(
        self,
        reason: str,
        code: int | None = None,
        then: Then = Then.RECONNECT,
        wait: float | None = None,
        is_spread: bool = False,
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.code = code
        self.then = then
        self.wait = wait
        self.is_spread = is_spread


def closed(code: int, reason: str, reconnect_in: float | None = None) -> Ended:
    """What a close means. `reconnect_in` is what `bye` said, to each another."""
    if code == TOKEN_EXPIRED:
        then = Then.FRESH_TOKEN
    elif code == TOO_LARGE or 4500 <= code <= 4999:
        # 1009: what was sent is too large for it, and the same would be sent again.
        then = Then.STOP
    else:
        # All others that are not Herald's come from what lies between, a proxy or a network: those pass.
        then = Then.RECONNECT
    return Ended(reason or _NAMES.get(code, f"closed with {code}"), code, then, reconnect_in, is_spread=True)


def refused(status: int, headers: Any, body: bytes, phrase: str) -> Ended:
    """What an HTTP status means that answers a handshake."""
    reason = _problem(body) or f"refused with {status} {phrase}".rstrip()
    if 300 <= status <= 399 and (target := headers.get("Location")) is not None:
        # A proxy's, mostly with our own query in it.
        reason = f"redirected to {shown(target)}, which is not followed"
    if status == 401:
        # Not Herald's, which closes with 4401 where the client can see it: a gateway's, that checks tokens as well.
        then = Then.FRESH_TOKEN
    elif status in _WORTH_A_RETRY or status >= 500:
        then = Then.RECONNECT
    else:
        then = Then.STOP
    return Ended(reason, status, then, retry_after(headers.get("Retry-After"), datetime.now(UTC)))


def retry_after(value: str | None, now: datetime) -> float | None:
    """Seconds, from a number of them or a date (RFC 9110, 10.2.3); None if it is neither."""
    if value is None:
        return None
    if value.strip().isascii() and value.strip().isdigit():
        return float(value)
    try:
        date = parsedate_to_datetime(value)
    except ValueError:
        return None
    return max(0.0, (date.replace(tzinfo=date.tzinfo or UTC) - now).total_seconds())


# Request Timeout, Too Early, Too Many Requests: the request was sound, and the moment was not.
_WORTH_A_RETRY: Final = frozenset({408, 425, 429})

_NAMES: Final = {
    1000: "closed without a reason",
    1001: "the service goes away",
    1005: "closed without a reason",
    BROKEN: "the connection broke",
    1011: "something went wrong at the service",
    1012: "the service restarts",
}


class _Problem(msgspec.Struct):
    title: str | None = None
    detail: str | None = None


def _problem(body: bytes) -> str:
    """The words of an RFC 9457 problem; nothing if the body is none."""
    try:
        problem = msgspec.json.decode(body, type=_Problem)
    except msgspec.DecodeError:
        return ""
    return ": ".join(part for part in ((problem.title or "").rstrip("."), problem.detail) if part)
