"""Security headers of every response. They prevent framing, content sniffing, and caching of personal data."""

from typing import Final

from litestar.datastructures import MutableScopeHeaders
from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from adapters.http.request_checks import ROOT

UNFRAMED: Final = "frame-ancestors 'none'"
PERSONAL: Final = "private, no-store"


class DescribeAnswers(ASGIMiddleware):
    """Adds `X-Content-Type-Options: nosniff` to every response, and forbids framing by its Content-Security-Policy. If
    the response already has a policy, the rule is appended to it. Responses under `/api/` contain personal data: they
    get a `Cache-Control` that forbids caching, unless the operation has set that header.
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
