"""HEAD requests: every operation that supports GET also supports HEAD, with the same status and headers but no body."""

from collections.abc import Callable

from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Message, Receive, Scope, Send
from litestar.utils import normalize_path

from adapters.http.errors.early_refusals import refuse
from adapters.http.errors.problems import problem


class AnswerHead(ASGIMiddleware):
    """Handles a HEAD request as a GET request, and removes the body from the response. For an event stream it responds
    405, because the GET request would open a session and never end.
    """

    scopes = (ScopeType.HTTP,)

    def __init__(self, is_event_stream: Callable[[str], bool]) -> None:
        """`is_event_stream` returns whether a path is the path of an event stream."""
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
