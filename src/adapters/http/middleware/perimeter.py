"""What surrounds every operation: what is checked of a request before a handler is looked for, and what is added to
every answer, refusals and unknown addresses included."""

from collections.abc import Sequence

from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp

from adapters.http.bodies import BodyLimits, LimitBodies
from adapters.http.middleware.cross_origin import CrossOrigin
from adapters.http.middleware.head_requests import AnswerHead
from adapters.http.middleware.hosts import CheckHost
from adapters.http.middleware.request_log import RequestLog
from adapters.http.middleware.response_headers import DescribeAnswers
from adapters.http.middleware.sizes import LimitHead
from adapters.web.origins import Hosts, Origins


def surround(
    app: ASGIApp, origins: Origins, hosts: Hosts, bodies: BodyLimits, event_streams: frozenset[str]
) -> ASGIApp:
    """The application behind its checks, the outermost first. `event_streams` are the paths of answers that never
    end."""
    layers: Sequence[ASGIMiddleware] = (
        RequestLog(),
        DescribeAnswers(),
        CheckHost(hosts),
        CrossOrigin(origins),
        LimitHead(),
        AnswerHead(event_streams),
        LimitBodies(bodies),
    )
    for layer in reversed(layers):
        app = layer(app)
    return app
