"""Security headers of every response: against framing, content sniffing, and caching of personal data."""

from typing import Final

from litestar.datastructures import MutableScopeHeaders
from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from adapters.http.requests import ROOT

UNFRAMED: Final = "frame-ancestors 'none'"
PERSONAL: Final = "private, no-store"


class DescribeAnswers(ASGIMiddleware):
    """Adds `X-Content-Type-Options` to every response, and a Content-Security-Policy that forbids framing (added to an
    existing one). Responses under `/api/` are personal: caches must not store them, unless the operation says
    otherwise.
    """

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
