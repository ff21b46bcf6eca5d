"""HEAD: every operation that is read by GET answers it, with the same status and headers and no body."""

from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Message, Receive, Scope, Send
from litestar.utils import normalize_path

from adapters.http.errors.problems import problem
from adapters.http.errors.refusals import refuse


class AnswerHead(ASGIMiddleware):
    """Has HEAD answered as GET, without the body. Event streams are excepted, 405: their GET never ends, and would
    open a session for nothing."""

    scopes = (ScopeType.HTTP,)

    def __init__(self, endless: frozenset[str]) -> None:
        """`endless`: the paths of event streams."""
        self._endless = endless

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        if scope.get("method") != "HEAD":
            await next_app(scope, receive, send)
            return

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.body":
                message["body"] = b""
            await send(message)

        if normalize_path(scope["path"]) in self._endless:
            refusal = problem("method_not_allowed", "An event stream has no HEAD: it never ends.")
            refusal.headers["allow"] = "GET, OPTIONS"
            await refuse(refusal, scope, receive, answer)
        else:
            scope["method"] = "GET"  # type: ignore[typeddict-unknown-key]
            await next_app(scope, receive, answer)
