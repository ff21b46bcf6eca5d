"""Assigns an id to each HTTP request, and logs and counts requests."""

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

# The request ids that are accepted from clients. They fit every tracing scheme and are safe in a log line.
_REQUEST_ID: Final = re.compile(rb"[A-Za-z0-9._-]{1,128}\Z")

# Limits for reading the rest of a body that is too large, in bytes and in seconds. See _discard_body.
MAX_DISCARDED_BYTES: Final = 64 * 1024 * 1024
DISCARD_TIMEOUT_S: Final = 5.0

# Maximum number of characters of a path in a log line. The path of every operation is shorter.
LOGGED_PATH: Final = 512

_KEY: Final = "herald_request_id"

# Paths whose requests are not logged: monitoring requests them every few seconds.
_QUIET: Final = frozenset({"/health", "/health/live", "/health/ready", "/metrics"})


_DISCONNECTED: Final = "herald_client_disconnected"


def client_disconnected(scope: Scope) -> bool:
    """Returns whether the server has reported that the client of this request has disconnected."""
    return _DISCONNECTED in scope["state"]


def request_id_of(scope: Scope) -> str:
    return cast(str, scope["state"].get(_KEY, ""))


class RequestLog(ASGIMiddleware):
    """Assigns an id to each request, and logs and counts each response, except those of `/health…` and `/metrics`.

    The id is the `X-Request-ID` of the request if this has 1 to 128 letters, digits, dots, underscores or hyphens, else
    a new one. It is sent as the response's `X-Request-ID`, and all log lines of the request contain it. The log line
    has method, path, status and duration (in ms, from the request to the start of the response), but not the query,
    because that may contain a token.
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
                    await _discard_body(receive)
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

        async def receive_and_note_disconnect() -> Any:
            event = await receive()
            if event["type"] == "http.disconnect":
                scope["state"][_DISCONNECTED] = True
            return event

        with request_context(request_id):
            await next_app(scope, receive_and_note_disconnect, answer)


async def _discard_body(receive: Receive) -> None:
    """Reads and discards the rest of a body that is too large, so that the client receives the 413 response. Stops
    after 64 MiB or 5 s.
    """
    # If a connection is closed while it has unread data, the kernel resets it, and the response may be lost.
    size = 0
    with suppress(TimeoutError):
        async with asyncio.timeout(DISCARD_TIMEOUT_S):
            while size < MAX_DISCARDED_BYTES:
                event = await receive()
                if event["type"] != "http.request" or not event["more_body"]:
                    return
                size += len(event["body"])
