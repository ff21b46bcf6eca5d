"""Request bodies: how long they may take, how much of them is held at a time, and how handlers read them."""

import asyncio
from typing import Any, Final, TypeVar

import msgspec
from litestar import Request
from litestar.enums import ScopeType
from litestar.exceptions import HTTPException, ValidationException
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Message, Receive, Scope, Send

T = TypeVar("T")

# For all operations but publishing. Preferences have the largest: 100 types of 255 characters, each of which may be
# written as 12 (two \u escapes).
SMALL_BODY_BYTES: Final = 512 * 1024

# What holding one piece of a body costs beside its bytes.
_PIECE_BYTES: Final = 64


class BodyLimits(msgspec.Struct, frozen=True):
    """`seconds`: from the first byte of a body that is read to its last. `total_bytes`: of all bodies that are held at
    a time."""

    seconds: float = 30.0
    total_bytes: int = 128 * 1024 * 1024


class BodyTooSlow(HTTPException):
    """The body did not arrive in time."""

    status_code = 408


class TooManyBodies(HTTPException):
    """Too much of other requests' bodies is held now."""

    status_code = 503


class BodyCutOff(HTTPException):
    """The client left before its body had ended: nobody reads the answer."""

    status_code = 400


class NotJson(HTTPException):
    """The body is not JSON."""

    status_code = 400


class LimitBodies(ASGIMiddleware):
    """Bounds what bodies cost, for every caller: an unfinished one is 408 after `seconds`, and one that would make
    all that are held larger than `total_bytes` is 503. `receive` raises both as HTTP exceptions, for the handlers of
    exceptions to answer, and BodyCutOff where the client leaves."""

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
    """What has come of one request's body."""

    def __init__(self) -> None:
        self.held = 0
        self.deadline: float | None = None
        self.complete = False
        self.answered = False


async def read_json(request: Request[Any, Any, Any], kind: type[T]) -> T:
    """The body as this type, converted leniently: "true" is true. Raises NotJson, and ValidationException, which names
    the field; UnicodeDecodeError and RecursionError of what is no text or nested too deeply."""
    body = await request.body()
    if not body:
        raise ValidationException(extra=[{"key": "data", "message": "A body is needed."}])
    try:
        # Into the type directly: of what the type does not have no objects are made.
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
