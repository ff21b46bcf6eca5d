"""Request bodies: the limits of time and memory for receiving them, and the functions with which handlers decode
them."""

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
    """Limits of request bodies. `seconds` is the maximum time for receiving the whole body of one request.
    `total_bytes` is the maximum size of the bodies of all requests that are handled at the same time.
    """

    seconds: float = 30.0
    total_bytes: int = 128 * 1024 * 1024


class BodyTooSlow(HTTPException):
    """The body of a request was not complete within `BodyLimits.seconds`."""

    status_code = 408


class TooManyBodies(HTTPException):
    """A body can't be received, because together with the bodies of other requests it exceeds
    `BodyLimits.total_bytes`."""

    status_code = 503


class BodyCutOff(HTTPException):
    """The client has disconnected before the body of its request was complete. It does not receive the response."""

    status_code = 400


class NotJson(HTTPException):
    """The body of a request is not JSON."""

    status_code = 400


class LimitBodies(ASGIMiddleware):
    """Limits the time in which the body of a request must arrive, and the memory of the bodies of all requests
    together.

    A handler that reads a body gets an exception, which Litestar's exception handlers convert to a response:
    BodyTooSlow (408) if the body is not complete `seconds` after the first read, TooManyBodies (503) if it would exceed
    `total_bytes`, BodyCutOff (400) if the client disconnects. The memory of a body is free again after its response.
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
    """The progress of receiving one request's body. `held` is the number of bytes that count towards `total_bytes`,
    `deadline` the time (of the event loop) by which the body must be `complete`. `answered` says whether the response
    has begun; after that, the limits no longer apply."""

    def __init__(self) -> None:
        self.held = 0
        self.deadline: float | None = None
        self.complete = False
        self.answered = False


async def read_json(request: Request[Any, Any, Any], kind: type[T]) -> T:
    """Returns the request's body, decoded from JSON to the type `kind`. Strings are accepted for numbers and booleans:
    `"true"` -> True.

    Raises ValidationException if the body is empty or has an invalid field, which the exception names; NotJson if the
    body is not JSON; UnicodeDecodeError if it is not UTF-8; RecursionError if it is nested too deeply.
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
    """Returns None if the request's body is empty or `null`; otherwise returns or raises what `read_json` does."""
    body = await request.body()
    return None if not body or body.strip() == b"null" else await read_json(request, kind)
