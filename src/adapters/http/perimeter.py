"""What surrounds every operation: what is checked of a request before a handler is looked for, and what is added to
every answer, refusals and unknown addresses included."""

from collections.abc import Sequence

from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp

from adapters.http.answers import DescribeAnswers
from adapters.http.bodies import BodyLimits, LimitBodies
from adapters.http.cross_origin import CrossOrigin
from adapters.http.heads import AnswerHead
from adapters.http.hosts import CheckHost
from adapters.http.middleware import RequestLog
from adapters.http.sizes import LimitHead
from domain.origins import Hosts, Origins


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
