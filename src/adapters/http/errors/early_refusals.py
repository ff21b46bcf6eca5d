"""Sends error responses from middleware, before Litestar has routed the request."""

from typing import Any

from litestar.enums import ScopeType
from litestar.types import Receive, Scope, Send

from adapters.http.errors.exception_handlers import ProblemResponse


async def refuse(response: ProblemResponse, scope: Scope, receive: Receive, send: Send) -> None:
    """Sends a problem as the response to an HTTP request or a WebSocket handshake. Middleware calls this instead of the
    next application. The response to a handshake uses the ASGI extension `websocket.http.response`.
    """
    prefix = ""
    if scope["type"] == ScopeType.WEBSOCKET:
        prefix = "websocket."
        await receive()
    body = response.encoded(scope["litestar_app"].state.public_url)
    headers = {**response.headers, "content-type": str(response.media_type), "content-length": str(len(body))}
    raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    forward: Any = send
    await forward({"type": f"{prefix}http.response.start", "status": response.status_code, "headers": raw})
    await forward({"type": f"{prefix}http.response.body", "body": body, "more_body": False})
