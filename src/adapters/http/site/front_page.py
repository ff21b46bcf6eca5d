"""The front page `/`: for browsers an HTML page that shows notifications as they arrive, for programs a description of
the service in JSON.

The files of the HTML page are in the folder `page`: `live.html` is served at `/`, its style and scripts under `/page/`.
"""

from collections.abc import Iterator
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

from adapters.http.monitoring import About
from adapters.http.openapi.operation_parts import also_answers, problems
from adapters.http.request_checks import public_url_of
from application.routes_in_force import RoutesInForce
from domain.public_url import PublicUrl
from domain.route_table import RouteTable

OPERATIONS: Final = (
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

# The page shows mails in frames. Frames inherit this policy, so mails can't load anything from other servers.
_POLICY: Final = (
    "img-src 'self' data:; media-src 'none'; font-src 'none'; object-src 'none'; style-src 'self' 'unsafe-inline'"
)

_PARTS: Final = {".css": "text/css", ".js": "text/javascript"}


@get(
    "/",
    tags=["operations"],
    summary="Describe this service",
    response_description="The description of the service.",
    operation_class=also_answers("text/html"),
    responses=problems(),
)
@inject
async def front(
    request: Request[Any, Any, Any], routes: FromDishka[RoutesInForce], about: FromDishka[About]
) -> Response[Any]:
    """Returns a description of this service in JSON: the version of Herald, the loaded profiles, and the paths of all
    endpoints. If the `Accept` header contains `text/html`, returns an HTML page instead, which shows notifications as
    they arrive and can publish sample events."""
    table, public_url = routes.table, public_url_of(request)
    if "text/html" in request.headers.get("accept", ""):
        headers = {"vary": "accept", "cache-control": "no-cache", "content-security-policy": _POLICY}
        return Response(_live_page(public_url), media_type="text/html", headers=headers)
    body = {
        "name": "herald",
        "version": about.version,
        "service": about.service,
        "auth": about.auth,
        "userClaim": about.user_claim,
        "profiles": [
            {
                "name": profile.profile,
                "broker": profile.broker,
                "feeds": [{"name": name, "access": feed.access} for name, feed in profile.feeds.items()],
                "samples": profile.samples,
            }
            for profile in table.profiles
        ],
        "endpoints": [_with_url(endpoint, public_url) for endpoint in (*_client_endpoints(table), *OPERATIONS)],
    }
    return Response(msgspec.json.encode(body), media_type="application/json", headers={"vary": "accept"})


@get("/page/{name:str}", include_in_schema=False)
async def page_part(name: FromPath[str]) -> Response[bytes]:
    """Serves the style and the scripts of the front page. Responds 404 for all other names."""
    media_type = _PARTS.get(PurePath(name).suffix)
    if media_type is None or name not in _page():
        raise NotFoundException
    return Response(_page()[name], media_type=media_type, headers={"cache-control": "no-cache"})


def _client_endpoints(table: RouteTable) -> Iterator[dict[str, str]]:
    """Returns the endpoints where clients connect, such as `{"kind": "WS", "path": "/live", "for": "tickets"}`. If two
    endpoints have the same path, the `path` of one that takes the user from the query is written with that parameter:
    `/live?user_id=`.
    """
    shapes = [endpoint.shape for endpoint in table.endpoints]
    for endpoint in table.endpoints:
        parameter = endpoint.query_parameter if shapes.count(endpoint.shape) > 1 else None
        path = f"{endpoint.path}?{parameter}=" if parameter else endpoint.path
        yield {"kind": endpoint.transport.upper(), "path": path, "for": endpoint.name}


def _with_url(endpoint: dict[str, str], public_url: PublicUrl) -> dict[str, str]:
    """Returns the description of an endpoint with its absolute URL as `url`, which begins with ws: or wss: for a
    WebSocket. If no public URL is set, returns the description unchanged."""
    if not public_url.base:
        return endpoint
    path = endpoint["path"]
    return endpoint | {"url": public_url.of_socket(path) if endpoint["kind"] == "WS" else public_url.of(path)}


@cache
def _live_page(public_url: PublicUrl) -> bytes:
    """Returns the HTML of the front page. If a public URL is set, a `<base>` element makes the relative addresses in
    the page relative to this URL."""
    page = _page()["live.html"]
    if not public_url.base:
        return page
    return page.replace(b"<head>\n", f'<head>\n<base href="{escape(public_url.of("/"))}">\n'.encode(), 1)


@cache
def _page() -> dict[str, bytes]:
    return {part.name: part.read_bytes() for part in resources.files("adapters.http.site").joinpath("page").iterdir()}
