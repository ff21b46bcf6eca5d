"""Where HTTP requests go."""

from adapters.http.front import front
from adapters.http.operations import health, live, metrics, ready
from adapters.http.publishing import publish_events

HTTP_ROUTES = (front, health, live, ready, metrics, publish_events)
