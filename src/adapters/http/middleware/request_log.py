"""Request ids, and the log of requests."""

import asyncio
import re
import time
from contextlib import suppress
from typing import Any, Final, cast

import structlog
import uuid_utils
from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from application.counters import Counters
from application.log_context import request_context

log = structlog.get_logger(__name__)

# Accepted values of a caller's request id: enough for every tracing scheme, and safe in a log line.
_REQUEST_ID: Final = re.compile(rb"[A-Za-z0-9._-]{1,128}\Z")

# How much of a body that is too large is read before it is rejected, in bytes and in seconds.
DROP_BYTES: Final = 64 * 1024 * 1024
DROP_LOG_INTERVAL_S: Final = 5.0

# Maximum number of logged characters of a path: longer than the path of any operation.
LOGGED_PATH: Final = 512

_KEY: Final = "herald_request_id"

# Monitoring requests these every few seconds; their lines would hide all others.
_QUIET: Final = frozenset({"/health", "/health/live", "/health/ready", "/metrics"})


_LEFT: Final = "herald_client_left"


def client_left(scope: Scope) -> bool:
    """Whether the client closed the connection before the response."""
    return _LEFT in scope["state"]


def request_id_of(scope: Scope) -> str:
    return cast(str, scope["state"].get(_KEY, ""))


class RequestLog(ASGIMiddleware):
    """Assigns an id to each request (its `X-Request-ID`, or a new one) and returns it in the response. Counts the
    request, and logs method, path, status and duration, except for monitoring. The query is never logged, because it
    may contain a token. An event stream is logged when it ends, by its session.
    """

    scopes = (ScopeType.HTTP,)

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        offered = next((value for name, value in scope["headers"] if name == b"x-request-id"), b"")
        request_id = offered.decode() if _REQUEST_ID.match(offered) else uuid_utils.uuid7().hex
        scope["state"][_KEY] = request_id
        method = scope.get("method")
        began = time.perf_counter()

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                if message["status"] == 413:
                    await _drop_body(receive)
                headers = [*message["headers"], (b"x-request-id", request_id.encode())]
                message["headers"] = headers
                if scope["path"] not in _QUIET:
                    seconds = time.perf_counter() - began
                    counters = await scope["litestar_app"].state.dishka_container.get(Counters)
                    counters.answers[str(message["status"])] += 1
                    counters.request.observe(seconds)
                    log.info(
                        "request_completed",
                        method=method,
                        path=scope["path"][:LOGGED_PATH],
                        status=message["status"],
                        duration_ms=round(seconds * 1000, 1),
                    )
            await send(message)

        async def hear() -> Any:
            event = await receive()
            if event["type"] == "http.disconnect":
                scope["state"][_LEFT] = True
            return event

        with request_context(request_id):
            await next_app(scope, hear, answer)


async def _drop_body(receive: Receive) -> None:
    """Read the rest of a rejected body, up to DROP_BYTES and DROP_LOG_INTERVAL_S. Closing a connection with unread data
    resets it, and the client would not receive the response.
    """
    size = 0
    with suppress(TimeoutError):
        async with asyncio.timeout(DROP_LOG_INTERVAL_S):
            while size < DROP_BYTES:
                event = await receive()
                if event["type"] != "http.request" or not event["more_body"]:
                    return
                size += len(event["body"])
