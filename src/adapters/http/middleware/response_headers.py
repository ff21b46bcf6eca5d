"""What every answer says of itself: that it is not to be framed, guessed at, or, where it is personal, kept."""

from typing import Final

from litestar.datastructures import MutableScopeHeaders
from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from adapters.http.requests import ROOT

UNFRAMED: Final = "frame-ancestors 'none'"
PERSONAL: Final = "private, no-store"


class DescribeAnswers(ASGIMiddleware):
    """Adds to every answer `X-Content-Type-Options` and, to its Content-Security-Policy, that no page may frame it.
    What is answered under `/api/` is its caller's alone: no cache may keep it, unless the operation says otherwise."""

    scopes = (ScopeType.HTTP,)

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableScopeHeaders.from_message(message)
                headers["x-content-type-options"] = "nosniff"
                policy = headers.get("content-security-policy")
                headers["content-security-policy"] = f"{policy}; {UNFRAMED}" if policy else UNFRAMED
                if scope["path"].startswith(ROOT):
                    headers.setdefault("cache-control", PERSONAL)
            await send(message)

        await next_app(scope, receive, answer)
