"""Security headers of every response. They forbid browsers to show a response in a frame of another page and to guess
its media type, and forbid caches to store personal data."""

from typing import Final

from litestar.datastructures import MutableScopeHeaders
from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from adapters.http.request_checks import ROOT

UNFRAMED: Final = "frame-ancestors 'none'"
PERSONAL: Final = "private, no-store"


class AddSecurityHeaders(ASGIMiddleware):
    """Adds security headers to every response: `X-Content-Type-Options: nosniff`, and the directive `frame-ancestors
    'none'` in the `Content-Security-Policy`, after the directives that the handler has set. Responses to paths under
    `/api/` also get `Cache-Control: private, no-store`, unless the handler has set `Cache-Control`.
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
