"""Request bodies: limits of time and memory, and how handlers read them."""

import asyncio
from typing import Any, Final, TypeVar

import msgspec
from litestar import Request
from litestar.enums import ScopeType
from litestar.exceptions import HTTPException, ValidationException
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Message, Receive, Scope, Send

T = TypeVar("T")

# For all operations except publishing. Preferences are the largest body: 100 types of 255 characters, each of which may
# be escaped to 12 bytes (two \u escapes).
SMALL_BODY_BYTES: Final = 512 * 1024

# Memory overhead of one piece of a body.
_PIECE_BYTES: Final = 64


class BodyLimits(msgspec.Struct, frozen=True):
    """Limits of request bodies. `seconds` is the time from the start of reading a body to its end. `total_bytes` limits
    all bodies that are in memory at the same time.
    """

    seconds: float = 30.0
    total_bytes: int = 128 * 1024 * 1024


class BodyTooSlow(HTTPException):
    """The body did not arrive in time."""

    status_code = 408


class TooManyBodies(HTTPException):
    """The bodies of other requests use up the limit of memory."""

    status_code = 503


class BodyCutOff(HTTPException):
    """The client disconnected before its body was complete. The response reaches nobody."""

    status_code = 400


class NotJson(HTTPException):
    """The body is not JSON."""

    status_code = 400


class LimitBodies(ASGIMiddleware):
    """Limits the cost of request bodies, for every caller: 408 for a body that is not complete after `seconds`, and 503
    for one that would exceed `total_bytes` of all bodies in memory. `receive` raises both as HTTP exceptions, which the
    exception handlers turn into responses, and BodyCutOff if the client disconnects.
    """

    scopes = (ScopeType.HTTP,)

    def __init__(self, limits: BodyLimits) -> None:
        self._limits = limits
        self._held = 0

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        body = _Body()

        async def limited() -> Any:
            return await self._receive(body, receive)

        async def answer(message: Message) -> None:
            body.answered = True
            await send(message)

        try:
            await next_app(scope, limited, answer)
        finally:
            self._held -= body.held

    async def _receive(self, body: "_Body", receive: Receive) -> Any:
        if body.complete or body.answered:
            return await receive()
        loop = asyncio.get_running_loop()
        if body.deadline is None:
            body.deadline = loop.time() + self._limits.seconds
        try:
            async with asyncio.timeout_at(body.deadline):
                event: Any = await receive()
        except TimeoutError:
            raise BodyTooSlow from None
        if event["type"] == "http.disconnect":
            raise BodyCutOff
        if event["type"] == "http.request":
            body.complete = not event.get("more_body", False)
            size = len(event.get("body", b"")) + _PIECE_BYTES
            if self._held + size > self._limits.total_bytes:
                raise TooManyBodies
            self._held += size
            body.held += size
        return event


class _Body:
    """The state of one request's body."""

    def __init__(self) -> None:
        self.held = 0
        self.deadline: float | None = None
        self.complete = False
        self.answered = False


async def read_json(request: Request[Any, Any, Any], kind: type[T]) -> T:
    """The body as this type, converted leniently: "true" is true. Raises NotJson, and ValidationException, which names
    the field; UnicodeDecodeError for a body that is not UTF-8, and RecursionError for one that is nested too deeply.
    """
    body = await request.body()
    if not body:
        raise ValidationException(extra=[{"key": "data", "message": "A body is needed."}])
    try:
        # Decodes directly into the type, so that no objects are created for fields that the type does not have.
        return msgspec.json.decode(body, type=kind, strict=False)
    except msgspec.ValidationError as error:
        text, _, path = str(error).partition(" - at `$")
        field = path.rstrip("`").lstrip(".") or "data"
        raise ValidationException(extra=[{"key": field, "message": text}]) from None
    except msgspec.DecodeError:
        raise NotJson from None


async def read_json_or_none(request: Request[Any, Any, Any], kind: type[T]) -> T | None:
    """As read_json; None for an empty body and for `null`."""
    body = await request.body()
    return None if not body or body.strip() == b"null" else await read_json(request, kind)
