"""What Herald refuses, as one tree.

    HeraldError
    ├── AccessRefused           the caller may not have this
    │   ├── TokenMissing        an identity is needed and none was shown
    │   ├── TokenInvalid        forged, malformed, for another audience, without a subject
    │   ├── TokenExpired        was good; a fresh one will be
    │   ├── SignedOut           issued before the user signed out
    │   ├── NotYours            a good identity asking for another's
    │   └── ScopeMissing        a good identity without the scope for this
    ├── UnknownFeed             a feed was asked for by a name that no feed has
    ├── TooManyRequests         too often; `retry_after` says for how long to wait
    ├── NotFound                it is not there, or not the caller's
    ├── NotFailed               a delivery that did not fail is not retried; `status` says what it is
    ├── TooManySessions         this user has as many connections as one may have
    ├── TooManySessionsElsewhere  the same, if those on other nodes are still there
    ├── TooManyAnonymous        this node has as many connections without a token as it may have
    ├── Draining                this node is about to leave
    ├── Unavailable             something Herald depends on is away; nothing was done, or it is safe to repeat
    └── InvalidInput            what was sent can't be understood; `field` says where

`code` is stable and meant for programs; the text is safe to show to the caller and never holds a token or a stack.
Adapters choose the HTTP status and the close code for each.
"""

from typing import ClassVar, Final

# How much of a name from outside an error repeats, in characters.
MAX_SHOWN_NAME: Final = 64


class HeraldError(Exception):
    code: ClassVar[str] = "internal"
    text: ClassVar[str] = "Something went wrong on our side."

    def __init__(self, detail: str | None = None) -> None:
        super().__init__(detail or self.text)

    @property
    def detail(self) -> str:
        return str(self)


class AccessRefused(HeraldError):
    code = "access_refused"
    text = "This is not open to you."


class TokenMissing(AccessRefused):
    code = "token_missing"
    text = "A token is needed here."


class TokenInvalid(AccessRefused):
    code = "token_invalid"
    text = "The token is not valid."


class TokenExpired(AccessRefused):
    code = "token_expired"
    text = "The token has expired: get a fresh one and come back."


class SignedOut(AccessRefused):
    code = "signed_out"
    text = "The user has signed out since this token was issued."


class NotYours(AccessRefused):
    code = "not_yours"
    text = "This belongs to someone else."


class ScopeMissing(AccessRefused):
    code = "scope_missing"

    def __init__(self, scope: str) -> None:
        super().__init__(f"This needs the scope {scope}.")


class UnknownFeed(HeraldError):
    """`name` is shortened where it is longer than the name of any feed."""

    code = "unknown_feed"

    def __init__(self, name: str) -> None:
        shown = name if len(name) <= MAX_SHOWN_NAME else f"{name[:MAX_SHOWN_NAME]}…"
        super().__init__(f'There is no feed "{shown}" here.')


class TooManyRequests(HeraldError):
    """`retry_after` is in seconds."""

    code = "too_many_requests"
    text = "This is more than may be asked at once: wait a little."

    def __init__(self, retry_after: float) -> None:
        super().__init__()
        self.retry_after = retry_after


class NotFound(HeraldError):
    code = "not_found"
    text = "There is no such thing here."


class NotFailed(HeraldError):
    """`status` is the delivery's."""

    code = "not_failed"

    def __init__(self, status: str) -> None:
        super().__init__(f"Only a failed delivery can be retried, and this one is {status}.")
        self.status = status


class TooManySessions(HeraldError):
    code = "too_many_sessions"
    text = "This user has too many open connections."


class TooManySessionsElsewhere(HeraldError):
    code = "too_many_sessions_elsewhere"
    text = "This user has too many open connections on other nodes: try again."


class TooManyAnonymous(HeraldError):
    code = "too_many_anonymous"
    text = "This node has as many connections without a token as it may have: try again."


class Draining(HeraldError):
    code = "draining"
    text = "This node is about to leave: connect again."


class Unavailable(HeraldError):
    code = "unavailable"
    text = "Something Herald depends on is away: try again."


class InvalidInput(HeraldError):
    code = "invalid_input"
    text = "The request can't be understood."

    def __init__(self, detail: str | None = None, field: str | None = None) -> None:
        super().__init__(detail)
        self.field = field
