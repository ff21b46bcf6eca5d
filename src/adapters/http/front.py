"""`/`: what this service is and where, as a page for people and as JSON for everyone else."""

from functools import cache
from importlib import resources
from typing import Any

import msgspec
from dishka.integrations.litestar import FromDishka, inject
from litestar import Request, Response, get

from adapters.http.operations import About
from domain.routes import RouteTable

ENDPOINTS = (
    {"kind": "WS", "path": "/ws/notifications", "for": "signals"},
    {"kind": "WS", "path": "/ws?user_id=", "for": "trading"},
    {"kind": "WS", "path": "/ws/v2/notification-service/notifications/users/{user_id}", "for": "groups"},
    {"kind": "WS", "path": "/ws", "for": "orders"},
    {"kind": "SSE", "path": "/events/stream", "for": "products"},
    {"kind": "POST", "path": "/api/v1/events", "for": "publishing"},
    {"kind": "GET", "path": "/health", "for": "operations"},
    {"kind": "GET", "path": "/health/live", "for": "operations"},
    {"kind": "GET", "path": "/health/ready", "for": "operations"},
    {"kind": "GET", "path": "/metrics", "for": "operations"},
)


@get("/")
@inject
async def front(
    request: Request[Any, Any, Any], table: FromDishka[RouteTable], about: FromDishka[About]
) -> Response[Any]:
    """A browser gets a page on which to watch notifications arrive, and to send some."""
    if "text/html" in request.headers.get("accept", ""):
        return Response(_page(), media_type="text/html", headers={"vary": "accept", "cache-control": "no-cache"})
    body = {
        "name": "herald",
        "version": about.version,
        "service": about.service,
        "auth": about.auth,
        "profiles": [
            {
                "name": profile.profile,
                "broker": profile.broker,
                "feeds": [{"name": name, "access": feed.access} for name, feed in profile.feeds.items()],
                "samples": profile.samples,
            }
            for profile in table.profiles
        ],
        "endpoints": ENDPOINTS,
    }
    return Response(msgspec.json.encode(body), media_type="application/json", headers={"vary": "accept"})


@cache
def _page() -> bytes:
    return resources.files("adapters.http").joinpath("live.html").read_bytes()
