"""What surrounds every operation: what is checked of a request before a handler is looked for, and what is added to
every answer, refusals and unknown addresses included."""

from collections.abc import Sequence

from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp

from adapters.http.cross_origin import CrossOrigin
from adapters.http.hosts import CheckHost
from adapters.http.middleware import RequestLog
from domain.origins import Hosts, Origins


def surround(app: ASGIApp, origins: Origins, hosts: Hosts) -> ASGIApp:
    """The application behind its checks, the outermost first."""
    layers: Sequence[ASGIMiddleware] = (RequestLog(), CheckHost(hosts), CrossOrigin(origins))
    for layer in reversed(layers):
        app = layer(app)
    return app
