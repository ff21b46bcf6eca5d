"""Wraps the application in the middleware that every request passes through before it is routed. It also applies to
rejected requests and unknown paths.
"""

from collections.abc import Callable, Sequence

from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp

from adapters.http.middleware.cross_origin import CrossOrigin
from adapters.http.middleware.head_requests import AnswerHead
from adapters.http.middleware.host_check import CheckHost
from adapters.http.middleware.request_log import RequestLog
from adapters.http.middleware.request_size_limits import LimitHead
from adapters.http.middleware.response_headers import DescribeAnswers
from adapters.http.request_bodies import BodyLimits, LimitBodies
from adapters.web.origins import Hosts, Origins


def surround(
    app: ASGIApp, origins: Origins, hosts: Hosts, bodies: BodyLimits, is_event_stream: Callable[[str], bool]
) -> ASGIApp:
    """Returns the application wrapped in its middleware, of which the first is the outermost. `is_event_stream` returns
    whether a path is the path of an event stream.
    """
    layers: Sequence[ASGIMiddleware] = (
        RequestLog(),
        DescribeAnswers(),
        CheckHost(hosts),
        CrossOrigin(origins),
        LimitHead(),
        AnswerHead(is_event_stream),
        LimitBodies(bodies),
    )
    for layer in reversed(layers):
        app = layer(app)
    return app
