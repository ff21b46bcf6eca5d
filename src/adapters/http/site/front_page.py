"""`/`: what this service is and where, as a page for people and as JSON for everyone else.

The page is what stands in the folder `page`: `live.html` at `/`, its style and scripts under `/page/`.
"""

from functools import cache
from html import escape
from importlib import resources
from pathlib import PurePath
from typing import Any, Final

import msgspec
from dishka.integrations.litestar import FromDishka, inject
from litestar import Request, Response, get
from litestar.exceptions import NotFoundException
from litestar.params import FromPath

from adapters.http.openapi.asyncapi import CHANNELS
from adapters.http.openapi.operations import also_answers, problems
from adapters.http.ops import About
from adapters.http.requests import public_url_of
from domain.public_url import PublicUrl
from domain.routes import RouteTable

ENDPOINTS = (
    *({"kind": endpoint.transport.upper(), "path": address, "for": endpoint.name} for endpoint, address, _ in CHANNELS),
    {"kind": "GET", "path": "/api/v2/notifications", "for": "inboxes"},
    {"kind": "GET", "path": "/api/v2/preferences", "for": "inboxes"},
    {"kind": "POST", "path": "/api/v1/events", "for": "publishing"},
    {"kind": "GET", "path": "/api/v1/notifications", "for": "deliveries"},
    {"kind": "GET", "path": "/api/v1/mails", "for": "deliveries"},
    {"kind": "GET", "path": "/api/v1/dead-letters", "for": "operations"},
    {"kind": "GET", "path": "/schema", "for": "documents"},
    {"kind": "GET", "path": "/problems", "for": "documents"},
    {"kind": "GET", "path": "/health", "for": "operations"},
    {"kind": "GET", "path": "/health/live", "for": "operations"},
    {"kind": "GET", "path": "/health/ready", "for": "operations"},
    {"kind": "GET", "path": "/metrics", "for": "operations"},
)

# Frames inherit it, and with it the mails that the page shows: nothing in them is fetched from anywhere.
_POLICY: Final = (
    "img-src 'self' data:; media-src 'none'; font-src 'none'; object-src 'none'; style-src 'self' 'unsafe-inline'"
)

_PARTS: Final = {".css": "text/css", ".js": "text/javascript"}


@get(
    "/",
    tags=["operations"],
    summary="What and where is it?",
    operation_class=also_answers("text/html"),
    responses=problems(),
)
@inject
async def front(
    request: Request[Any, Any, Any], table: FromDishka[RouteTable], about: FromDishka[About]
) -> Response[Any]:
    """A browser gets a page on which to watch notifications arrive, and to send some."""
    public_url = public_url_of(request)
    if "text/html" in request.headers.get("accept", ""):
        headers = {"vary": "accept", "cache-control": "no-cache", "content-security-policy": _POLICY}
        return Response(_live_page(public_url), media_type="text/html", headers=headers)
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
        "endpoints": [_located(endpoint, public_url) for endpoint in ENDPOINTS],
    }
    return Response(msgspec.json.encode(body), media_type="application/json", headers={"vary": "accept"})


@get("/page/{name:str}", include_in_schema=False)
async def page_part(name: FromPath[str]) -> Response[bytes]:
    """A style or a script of the page."""
    media_type = _PARTS.get(PurePath(name).suffix)
    if media_type is None or name not in _page():
        raise NotFoundException
    return Response(_page()[name], media_type=media_type, headers={"cache-control": "no-cache"})


def _located(endpoint: dict[str, str], public_url: PublicUrl) -> dict[str, str]:
    """The endpoint with its address, where that is known: `url`, of a socket one that begins with ws or wss."""
    if not public_url.base:
        return endpoint
    path = endpoint["path"]
    return endpoint | {"url": public_url.of_socket(path) if endpoint["kind"] == "WS" else public_url.of(path)}


@cache
def _live_page(public_url: PublicUrl) -> bytes:
    """The page, whose own addresses are all relative; where the public URL is known, to that."""
    page = _page()["live.html"]
    if not public_url.base:
        return page
    return page.replace(b"<head>\n", f'<head>\n<base href="{escape(public_url.of("/"))}">\n'.encode(), 1)


@cache
def _page() -> dict[str, bytes]:
    return {part.name: part.read_bytes() for part in resources.files("adapters.http.site").joinpath("page").iterdir()}
