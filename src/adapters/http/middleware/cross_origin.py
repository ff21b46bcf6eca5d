"""Checks cross-origin requests, which a browser sends for a page of another origin, and adds the headers that let a
page read the responses (CORS)."""

from typing import Final

from litestar.datastructures import Headers, MutableScopeHeaders
from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from adapters.http.errors.early_refusals import refuse
from adapters.http.errors.exception_handlers import problem
from adapters.web.origins_and_hosts import Origins, same_host
from adapters.web.tokens import TOKEN_COOKIE, read_cookies

METHODS: Final = "DELETE, GET, HEAD, PATCH, POST, PUT"
EXPOSED: Final = "Link, Retry-After, X-Request-ID"
MAX_AGE_S: Final = 600

_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})


class CrossOrigin(ASGIMiddleware):
    """Rejects cross-origin requests that are not allowed with 403, answers preflight requests, and adds CORS headers.

    A page may send any request if HERALD_ORIGINS allows its origin, or if the page was loaded from the host that the
    request is sent to. All other pages may only send GET and HEAD requests without the token cookie, and get no CORS
    headers, so they can't read the responses. CORS headers allow credentials only if HERALD_ORIGINS lists origins, not
    if it allows all. Requests without an `Origin` header are accepted. If a handler has set
    `Access-Control-Allow-Origin`, its response is left unchanged.
    """

    # Browsers send `Origin` with every request by which a page of another origin could change or read something.

    scopes = (ScopeType.HTTP,)

    def __init__(self, origins: Origins) -> None:
        self._origins = origins

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        headers = Headers.from_scope(scope)
        sent = headers.getall("origin", [])
        allowed = all(self._origins.allow(origin) for origin in sent)

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._permit(MutableScopeHeaders.from_message(message), sent, allowed)
            await send(message)

        if sent and scope.get("method") == "OPTIONS":
            refused = not allowed
            next_app = _allow_preflight
        else:
            own = all(same_host(origin, headers.get("host")) for origin in sent)
            refused = not allowed and not own and _is_restricted(scope)
        if refused:
            await refuse(problem("origin_refused", "Pages of this origin may not do this."), scope, receive, answer)
        else:
            await next_app(scope, receive, answer)

    def _permit(self, headers: MutableScopeHeaders, sent: list[str], allowed: bool) -> None:
        if "access-control-allow-origin" in headers:
            return
        if self._origins.allowed is not None:
            headers.extend_header_value("vary", "Origin")
        if not sent or not allowed:
            return
        if self._origins.allowed is None:
            headers["access-control-allow-origin"] = "*"
        else:
            headers["access-control-allow-origin"] = sent[0]
            headers["access-control-allow-credentials"] = "true"
        headers["access-control-expose-headers"] = EXPOSED


def _is_restricted(scope: Scope) -> bool:
    """Returns whether only trusted pages may send this request: its method may change something (it is not GET, HEAD or
    OPTIONS), or it has the token cookie."""
    return scope.get("method") not in _SAFE or TOKEN_COOKIE in read_cookies(
        Headers.from_scope(scope).getall("cookie", [])
    )


async def _allow_preflight(scope: Scope, _: Receive, send: Send) -> None:
    answer = {
        "access-control-allow-methods": METHODS,
        "access-control-allow-headers": Headers.from_scope(scope).get("access-control-request-headers") or "*",
        "access-control-max-age": str(MAX_AGE_S),
        "vary": "Access-Control-Request-Headers",
    }
    raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in answer.items()]
    await send({"type": "http.response.start", "status": 204, "headers": raw})
    await send({"type": "http.response.body", "body": b"", "more_body": False})
