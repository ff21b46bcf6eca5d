"""The list of all Litestar handlers and routers of the HTTP interface, except those of event streams."""

from adapters.http.api.dead_letters import DEAD_LETTERS
from adapters.http.api.deliveries import DELIVERIES
from adapters.http.api.events import publish_events
from adapters.http.api.mails import MAILS
from adapters.http.api.notifications import notifications
from adapters.http.api.preferences import preferences
from adapters.http.api.types import list_types
from adapters.http.monitoring import health, live, metrics, ready
from adapters.http.openapi.schema_pages import asyncapi, schema_part
from adapters.http.site.client_files import client_file
from adapters.http.site.front_page import front, page_part
from adapters.http.site.problem_pages import list_problems, show_problem

HTTP_ROUTES = (
    front,
    page_part,
    client_file,
    health,
    live,
    ready,
    metrics,
    list_problems,
    show_problem,
    asyncapi,
    schema_part,
    publish_events,
    notifications,
    preferences,
    list_types,
    DEAD_LETTERS,
    DELIVERIES,
    MAILS,
)
