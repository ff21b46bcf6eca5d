"""What happens around every request: its id, and its line in the log."""

import re
import time
from typing import Final, cast

import structlog
import uuid_utils
from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Message, Receive, Scope, Send

log = structlog.get_logger(__name__)

# What a caller may name its request: enough for every tracing scheme, too little to forge a log line.
_REQUEST_ID: Final = re.compile(rb"[A-Za-z0-9._-]{1,128}\Z")

_KEY: Final = "herald_request_id"

# Asked every few seconds by those who watch; their lines would hide all others.
_QUIET: Final = frozenset({"/health", "/health/live", "/health/ready", "/metrics"})


def request_id_of(scope: Scope) -> str:
    return cast(str, scope["state"].get(_KEY, ""))


class RequestLog(ASGIMiddleware):
    """Gives each request an id (its `X-Request-ID`, or a new one), sends it back, and logs method, path, status and
    time. The query is never logged: a token may stand in it. An event stream is logged when it ends, by its
    session."""

    scopes = (ScopeType.HTTP,)

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        offered = next((value for name, value in scope["headers"] if name == b"x-request-id"), b"")
        request_id = offered.decode() if _REQUEST_ID.match(offered) else uuid_utils.uuid7().hex
        scope["state"][_KEY] = request_id
        method = scope.get("method")
        began = time.perf_counter()

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = [*message["headers"], (b"x-request-id", request_id.encode())]
                message["headers"] = headers
                if scope["path"] not in _QUIET:
                    log.info(
                        "request",
                        method=method,
                        path=scope["path"],
                        status=message["status"],
                        milliseconds=round((time.perf_counter() - began) * 1000, 1),
                        request_id=request_id,
                    )
            await send(message)

        await next_app(scope, receive, answer)
