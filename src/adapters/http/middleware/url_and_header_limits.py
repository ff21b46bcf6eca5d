"""Limits the size of a request's path and query, the size of its headers, and the number of its query parameters. The
limits of bodies are in `request_bodies.py`."""

from typing import Final

from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Receive, Scope, Send

from adapters.http.errors.early_refusals import refuse
from adapters.http.errors.exception_handlers import problem
from adapters.web.request_limits import MAX_PARAMETERS, MAX_TARGET_BYTES

# The maximum size of the names and values of all headers together. Granian has higher limits, beyond which it responds
# without a body: 100 headers, and 400 KB for all headers together.
MAX_HEADER_BYTES: Final = 64 * 1024


class LimitRequestSize(ASGIMiddleware):
    """Rejects HTTP requests and WebSocket handshakes whose path and query have more than 16 KiB together (414), that
    have more than 100 query parameters (400), or whose headers have more than 64 KiB together (431)."""

    scopes = (ScopeType.HTTP, ScopeType.WEBSOCKET)

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        if len(scope["raw_path"]) + len(scope["query_string"]) > MAX_TARGET_BYTES:
            await refuse(
                problem(
                    "address_too_long", f"The path and the query may have at most {MAX_TARGET_BYTES} bytes together."
                ),
                scope,
                receive,
                send,
            )
        elif scope["query_string"].count(b"&") >= MAX_PARAMETERS:
            await refuse(
                problem("invalid_request", f"A query may have at most {MAX_PARAMETERS} parameters."),
                scope,
                receive,
                send,
            )
        elif sum(len(name) + len(value) for name, value in scope["headers"]) > MAX_HEADER_BYTES:
            await refuse(
                problem("headers_too_large", f"The headers may have at most {MAX_HEADER_BYTES} bytes together."),
                scope,
                receive,
                send,
            )
        else:
            await next_app(scope, receive, send)
