"""Limits of a request's address, its headers, and the number of its query parameters."""

from typing import Final

from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Receive, Scope, Send

from adapters.http.errors.early_refusals import refuse
from adapters.http.errors.problems import problem

# Limits of path and query together, and of the names and values of all headers. The server has limits of its own, at
# which it responds without a body: 65,534 bytes for the address, 100 headers, 400 KB for the whole head.
MAX_TARGET_BYTES: Final = 16 * 1024
MAX_HEADER_BYTES: Final = 64 * 1024

# Maximum number of query parameters. Litestar caches the last 1,024 queries with their parameters: with thousands of
# parameters each, the cache would take 0.6 GB.
MAX_PARAMETERS: Final = 100


class LimitHead(ASGIMiddleware):
    """Rejects requests and handshakes with a longer address (414), longer headers (431), or more parameters (400)."""

    scopes = (ScopeType.HTTP, ScopeType.WEBSOCKET)

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        if len(scope["raw_path"]) + len(scope["query_string"]) > MAX_TARGET_BYTES:
            await refuse(
                problem("address_too_long", f"Path and query may have {MAX_TARGET_BYTES} bytes."), scope, receive, send
            )
        elif scope["query_string"].count(b"&") >= MAX_PARAMETERS:
            await refuse(
                problem("invalid_request", f"A query may have {MAX_PARAMETERS} parameters."), scope, receive, send
            )
        elif sum(len(name) + len(value) for name, value in scope["headers"]) > MAX_HEADER_BYTES:
            await refuse(
                problem("headers_too_large", f"All headers may have {MAX_HEADER_BYTES} bytes."), scope, receive, send
            )
        else:
            await next_app(scope, receive, send)
