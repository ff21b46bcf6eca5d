"""Cross-origin requests: which responses pages of other origins may read (CORS), and which requests they may send."""

from typing import Final

from litestar.datastructures import Headers, MutableScopeHeaders
from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from adapters.http.errors.early_refusals import refuse
from adapters.http.errors.problems import problem
from adapters.web.origins import Origins, same_host
from adapters.web.tokens import TOKEN_COOKIE, read_cookies

METHODS: Final = "DELETE, GET, HEAD, PATCH, POST, PUT"
EXPOSED: Final = "Link, Retry-After, X-Request-ID"
MAX_AGE_S: Final = 600

_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})


class CrossOrigin(ASGIMiddleware):
    """Responds to preflights, adds CORS headers to all other responses, and rejects forbidden cross-origin requests:
    403 before any handler, in every mode.

    A page whose origin is neither allowed nor the request's own host may use safe methods only, and not with the
    cookie. A request without an Origin header does not come from a page of another origin. Allowed origins may send
    credentials if they are listed, but not if all origins are allowed.
    """

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
            refused = not allowed and not own and _acts(scope)
        if refused:
            await refuse(problem("origin_refused", "Pages of this origin may not do this."), scope, receive, answer)
        else:
            await next_app(scope, receive, answer)

    def _permit(self, headers: MutableScopeHeaders, sent: list[str], allowed: bool) -> None:
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


def _acts(scope: Scope) -> bool:
    """Whether the request may change something, or is authenticated by the browser's cookie."""
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
