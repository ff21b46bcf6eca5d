"""Support for HEAD requests: the response has the status and headers of a GET request, but no body."""

from collections.abc import Callable

from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Message, Receive, Scope, Send
from litestar.utils import normalize_path

from adapters.http.errors.early_refusals import refuse
from adapters.http.errors.exception_handlers import problem


class HandleHeadAsGet(ASGIMiddleware):
    """Passes a HEAD request on to the application as a GET request, and removes the body from the response. For the
    path of an event stream it responds 405, because a GET request would open a session and not end.
    """

    scopes = (ScopeType.HTTP,)

    def __init__(self, is_event_stream: Callable[[str], bool]) -> None:
        """Takes `is_event_stream`, a function that returns whether a path is that of an event stream."""
        self._is_event_stream = is_event_stream

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        if scope.get("method") != "HEAD":
            await next_app(scope, receive, send)
            return

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.body":
                message["body"] = b""
            await send(message)

        if self._is_event_stream(normalize_path(scope["path"])):
            refusal = problem("method_not_allowed", "An event stream does not support HEAD.")
            refusal.headers["allow"] = "GET, OPTIONS"
            await refuse(refusal, scope, receive, answer)
        else:
            scope["method"] = "GET"  # type: ignore[typeddict-unknown-key]  # Scope: HTTP or WebSocket
            await next_app(scope, receive, answer)
