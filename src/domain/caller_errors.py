"""Errors that Herald reports to callers, as one tree.

    HeraldError
    ├── AccessRefused           the caller may not do this
    │   ├── TokenMissing        a token is needed and none was sent
    │   ├── TokenInvalid        the token is forged, malformed, for another audience, or without a user
    │   ├── TokenExpired        the token has expired; the caller needs a new one
    │   ├── SignedOut           the token was issued before its user signed out
    │   ├── NotYours            the caller requests data of another user, or a feed that it has no access to
    │   └── ScopeMissing        the token does not have the scope that is needed
    ├── UnknownFeed             no feed at the endpoint has this name
    ├── TooManyRequests         the rate limit is exceeded; `retry_after` is the time to wait in seconds
    ├── NotFound                the requested object does not exist, or belongs to another user
    ├── NotFailed               the delivery can't be retried in its present status, `status`
    ├── TooManySessions         the user has the maximum number of connections at this node
    ├── TooManySessionsElsewhere  the user has the maximum number of connections at all nodes together
    ├── TooManyAnonymous        the node has the maximum number of connections without a token
    ├── Draining                the node is shutting down
    ├── Unavailable             a dependency is unavailable; the request can be repeated
    └── InvalidInput            the request is invalid; `field` is the name of the invalid field, if it is known

`code` is a stable name of the error, for programs. The text is for people: it may be shown to the caller, and contains
neither tokens nor stack traces. Adapters decide with which HTTP status and close code an error is reported.
"""

from typing import ClassVar, Final

# Error texts repeat at most this many characters of a name from a request.
MAX_SHOWN_NAME: Final = 64


class HeraldError(Exception):
    code: ClassVar[str] = "internal"
    text: ClassVar[str] = "The server failed to process the request."

    def __init__(self, detail: str | None = None) -> None:
        super().__init__(detail or self.text)

    @property
    def detail(self) -> str:
        return str(self)


class AccessRefused(HeraldError):
    code = "access_refused"
    text = "Access is refused."


class TokenMissing(AccessRefused):
    code = "token_missing"
    text = "A token is needed."


class TokenInvalid(AccessRefused):
    code = "token_invalid"
    text = "The token is not valid."


class TokenExpired(AccessRefused):
    code = "token_expired"
    text = "The token has expired: get a new one."


class SignedOut(AccessRefused):
    code = "signed_out"
    text = "The user has signed out since this token was issued."


class NotYours(AccessRefused):
    code = "not_yours"
    text = "You have no access to this user's data or to this feed."


class ScopeMissing(AccessRefused):
    code = "scope_missing"

    def __init__(self, scope: str) -> None:
        super().__init__(f"This request needs the scope {scope}.")


class UnknownFeed(HeraldError):
    """The caller requests a feed that does not exist at its endpoint. The text repeats at most MAX_SHOWN_NAME
    characters of `name`.
    """

    code = "unknown_feed"

    def __init__(self, name: str) -> None:
        shown = name if len(name) <= MAX_SHOWN_NAME else f"{name[:MAX_SHOWN_NAME]}…"
        super().__init__(f'There is no feed "{shown}" at this endpoint.')


class TooManyRequests(HeraldError):
    """The caller has exceeded the rate limit. `retry_after` is the time to wait, in seconds."""

    code = "too_many_requests"
    text = "The rate limit is exceeded: wait, then try again."

    def __init__(self, retry_after: float) -> None:
        super().__init__()
        self.retry_after = retry_after


class NotFound(HeraldError):
    code = "not_found"
    text = "The requested object does not exist."


class NotFailed(HeraldError):
    """An administrator retries a delivery that has neither failed nor been skipped for lack of an address. `status` is
    the status of the delivery.
    """

    code = "not_failed"

    def __init__(self, status: str) -> None:
        super().__init__(
            f"Only deliveries that failed or had no address can be retried; the status of this one is {status}."
        )
        self.status = status


class TooManySessions(HeraldError):
    code = "too_many_sessions"
    text = "This user has too many open connections."


class TooManySessionsElsewhere(HeraldError):
    code = "too_many_sessions_elsewhere"
    text = "This user has too many open connections on other nodes: try again."


class TooManyAnonymous(HeraldError):
    code = "too_many_anonymous"
    text = "This node has the maximum number of connections without a token: try again."


class Draining(HeraldError):
    code = "draining"
    text = "This node is shutting down: connect again."


class Unavailable(HeraldError):
    code = "unavailable"
    text = "A service that Herald depends on is unavailable: try again."


class InvalidInput(HeraldError):
    code = "invalid_input"
    text = "The request is invalid."

    def __init__(self, detail: str | None = None, field: str | None = None) -> None:
        super().__init__(detail)
        self.field = field
