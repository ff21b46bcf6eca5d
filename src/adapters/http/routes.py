"""Where HTTP requests go."""

from adapters.http.dead_letters import DEAD_LETTERS
from adapters.http.deliveries import DELIVERIES
from adapters.http.front import front, page_part
from adapters.http.mails import MAILS
from adapters.http.notifications import notifications
from adapters.http.operations import health, live, metrics, ready
from adapters.http.preferences import preferences
from adapters.http.problem_pages import list_problems, show_problem
from adapters.http.publishing import publish_events
from adapters.http.schema import asyncapi, schema_part

HTTP_ROUTES = (
    front,
    page_part,
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
    DEAD_LETTERS,
    DELIVERIES,
    MAILS,
)
