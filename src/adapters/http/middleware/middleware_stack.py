"""Wraps the application in all middleware. Middleware runs before Litestar routes the request, so it also applies to
requests for unknown paths."""

from collections.abc import Callable, Sequence

from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp

from adapters.http.middleware.cross_origin import CrossOrigin
from adapters.http.middleware.head_requests import HandleHeadAsGet
from adapters.http.middleware.host_check import CheckHost
from adapters.http.middleware.request_log import RequestLog
from adapters.http.middleware.response_headers import AddSecurityHeaders
from adapters.http.middleware.url_and_header_limits import LimitRequestSize
from adapters.http.request_bodies import BodyLimits, LimitBodies
from adapters.web.origins_and_hosts import Hosts, Origins


def surround(
    app: ASGIApp, origins: Origins, hosts: Hosts, bodies: BodyLimits, is_event_stream: Callable[[str], bool]
) -> ASGIApp:
    """Returns the application `app` wrapped in all middleware. `is_event_stream` is a function that returns whether a
    path is that of an event stream.
    """
    # The outermost is the first: a request passes through them in this order, its response in the opposite order.
    layers: Sequence[ASGIMiddleware] = (
        RequestLog(),
        AddSecurityHeaders(),
        CheckHost(hosts),
        CrossOrigin(origins),
        LimitRequestSize(),
        HandleHeadAsGet(is_event_stream),
        LimitBodies(bodies),
    )
    for layer in reversed(layers):
        app = layer(app)
    return app
