"""Request bodies: limits of time and memory, and the functions with which handlers read bodies."""

import asyncio
from typing import Any, Final, TypeVar

import msgspec
from litestar import Request
from litestar.enums import ScopeType
from litestar.exceptions import HTTPException, ValidationException
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Message, Receive, Scope, Send

T = TypeVar("T")

# Maximum size of a body, for all operations except publishing. Preferences are the largest body: 100 types of 255
# characters, each of which may be escaped to 12 bytes (two \u escapes).
SMALL_BODY_BYTES: Final = 512 * 1024

# Memory overhead of one part of a body, in addition to its bytes. A body arrives in one or more parts.
_PIECE_BYTES: Final = 64


class BodyLimits(msgspec.Struct, frozen=True):
    """Limits of request bodies. `seconds` is the maximum time for reading one body. `total_bytes` is the maximum size
    of all bodies that are in memory at the same time.
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
    """The client disconnected before its body was complete, so it does not receive the response."""

    status_code = 400


class NotJson(HTTPException):
    """The body is not JSON."""

    status_code = 400


class LimitBodies(ASGIMiddleware):
    """Limits the time and memory that request bodies may take, for all callers together.

    The response is 408 if a body is not complete after `seconds`, and 503 if it would make the bodies in memory exceed
    `total_bytes`. For this, the `receive` of the request raises BodyTooSlow or TooManyBodies, which the exception
    handlers turn into responses. It raises BodyCutOff if the client disconnects.
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
    """Returns the request's body, decoded from JSON into this type. Strings are converted: `"true"` is accepted as
    true.

    Raises NotJson, ValidationException if a field is invalid (it names the field) or the body is empty,
    UnicodeDecodeError if the body is not UTF-8, and RecursionError if it is nested too deeply.
    """
    body = await request.body()
    if not body:
        raise ValidationException(extra=[{"key": "data", "message": "The request needs a body."}])
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
    """Returns what `read_json` returns, or None if the body is empty or `null`. Raises what `read_json` raises."""
    body = await request.body()
    return None if not body or body.strip() == b"null" else await read_json(request, kind)
