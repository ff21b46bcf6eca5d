"""Assembles the whole service as a Litestar application, which Granian serves and tests call."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from importlib.metadata import version

import structlog
from dishka import Provider
from dishka.integrations.litestar import setup_dishka
from litestar import Litestar
from litestar.datastructures import State

from adapters.http.errors.exception_handlers import EXCEPTION_HANDLERS
from adapters.http.middleware.middleware_stack import surround
from adapters.http.openapi.schema_pages import openapi_config
from adapters.http.request_bodies import BodyLimits
from adapters.http.request_checks import check_request
from adapters.http.routes import HTTP_ROUTES
from adapters.sockets.routes import endpoint_routes, is_event_stream
from application.live.addresses import addresses
from application.operations.node import Node
from application.routes_in_force import RoutesInForce
from domain.public_url import PublicUrl
from entrypoints.channels import CHANNELS, OutboundChannel
from entrypoints.profiles.loader import load_table
from entrypoints.settings.loader import Settings
from entrypoints.wiring.container import make_container
from entrypoints.wiring.web_access import allowed_hosts, allowed_origins

log = structlog.get_logger(__name__)

# Maximum size of a request's body, as a multiple of the maximum size of an event: a body may be a list of events.
BODY_PER_EVENT = 8


def create_app(settings: Settings, *overrides: Provider, channels: Sequence[OutboundChannel] = CHANNELS) -> Litestar:
    """Returns the complete ASGI application. Its services start when the server runs the application's lifespan.

    `overrides`: providers that replace parts of the container, in tests. `app.state.dishka_container` is the container.
    `app.state.public_url` is Herald's public URL, with which links in responses begin.
    """
    table = load_table(settings, channels)
    places = addresses(table)
    container = make_container(settings, RoutesInForce(table), *overrides, channels=channels)

    @asynccontextmanager
    async def lifespan(_: Litestar) -> AsyncIterator[None]:
        try:
            node = await container.get(Node)
            await node.start()
        except Exception:
            # The server reports only that the application did not start.
            log.exception("start_failed")
            raise
        try:
            yield
        finally:
            await node.stop()
            await container.close()

    public_url = PublicUrl(settings.web.public_url or "")
    app = Litestar(
        route_handlers=[*HTTP_ROUTES, *endpoint_routes(places)],
        exception_handlers=EXCEPTION_HANDLERS,
        guards=[check_request],
        openapi_config=openapi_config(version("herald"), public_url),
        request_max_body_size=settings.limits.event_bytes * BODY_PER_EVENT,
        lifespan=[lifespan],
        logging_config=None,
        state=State({"public_url": public_url}),
    )
    setup_dishka(container, app)
    app.asgi_handler = surround(
        app.asgi_handler,
        allowed_origins(settings),
        allowed_hosts(settings),
        BodyLimits(),
        partial(is_event_stream, addresses=places),
    )
    return app
