"""Responds to a request or a handshake with a problem before it reaches a handler."""

from typing import Any

from litestar.enums import ScopeType
from litestar.types import Receive, Scope, Send

from adapters.http.errors.problems import ProblemResponse


async def refuse(answer: ProblemResponse, scope: Scope, receive: Receive, send: Send) -> None:
    """Sends a problem as the response to a request, or to a WebSocket handshake. For the latter it uses the ASGI
    extension `websocket.http.response`.
    """
    prefix = ""
    if scope["type"] == ScopeType.WEBSOCKET:
        prefix = "websocket."
        await receive()
    body = answer.encoded(scope["litestar_app"].state.public_url)
    headers = {**answer.headers, "content-type": str(answer.media_type), "content-length": str(len(body))}
    raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    forward: Any = send
    await forward({"type": f"{prefix}http.response.start", "status": answer.status_code, "headers": raw})
    await forward({"type": f"{prefix}http.response.body", "body": body, "more_body": False})
