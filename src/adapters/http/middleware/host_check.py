"""Rejects requests for host names that are not Herald's.

This prevents DNS rebinding: an attack in which a malicious site makes its own host name resolve to Herald's address, so
that a browser treats Herald as a part of the malicious site, whose pages can then read Herald's responses.
"""

from typing import Final

import structlog
from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Receive, Scope, Send

from adapters.http.errors.early_refusals import refuse
from adapters.http.errors.exception_handlers import problem
from adapters.web.origins_and_hosts import Hosts

log = structlog.get_logger(__name__)

# Not checked: probes of an orchestrator use IP addresses that are not known in advance.
_EXEMPT: Final = "/health"


class CheckHost(ASGIMiddleware):
    """Rejects HTTP requests and WebSocket handshakes with 421 if they have no `Host` header, several, or one whose
    host is not allowed (HERALD_HOSTS). If all hosts are allowed, rejects nothing. Never rejects a request for `/health`
    or a path below it."""

    scopes = (ScopeType.HTTP, ScopeType.WEBSOCKET)

    def __init__(self, hosts: Hosts) -> None:
        self._hosts = hosts

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        named = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
        if self._hosts.allow(named[0] if len(named) == 1 else None) or _is_health(scope["path"]):
            await next_app(scope, receive, send)
        else:
            log.warning("host_refused", host=",".join(named)[:255], path=scope["path"])
            await refuse(
                problem("host_refused", "This server does not accept requests for this host."), scope, receive, send
            )


def _is_health(path: str) -> bool:
    return path == _EXEMPT or path.startswith(f"{_EXEMPT}/")
