"""Metrics of clients: sessions, what is pushed to them, and HTTP requests."""

from collections import Counter
from typing import Final

from adapters.telemetry.metric_declarations import Label, Metric, Readings, Sample, Section, by_label

_ENDPOINT: Final = Label("endpoint", "the names of the endpoints, of Herald and of the loaded profiles")

_LISTENER: Final = Label("listener", "`main`, or `second` for the listener of `HERALD_SOCKET_PORT`")


def _sessions_open(now: Readings) -> list[Sample]:
    """Returns a sample for each endpoint and listener at which a session has been opened since the start."""
    is_open: Counter[tuple[str, str]] = Counter((session.endpoint, session.listener) for session in now.hub.sessions)
    return [(labels, is_open[labels]) for labels in sorted(is_open.keys() | now.counters.sessions.keys())]


CLIENTS: Final = Section(
    "Clients",
    (
        Metric(
            "herald_sessions_open",
            "gauge",
            "sessions",
            "Sessions that are open at this node now.",
            _sessions_open,
            (_ENDPOINT, _LISTENER),
        ),
        Metric(
            "herald_sessions_opened",
            "counter",
            "sessions",
            "Sessions that were opened.",
            lambda now: list(now.counters.sessions.items()),
            (_ENDPOINT, _LISTENER),
        ),
        Metric(
            "herald_sessions_closed",
            "counter",
            "connections",
            "Connections that ended.",
            lambda now: list(now.counters.closes.items()),
            (
                Label("code", "the close codes of protocol.md, and `client` if the client ended the connection"),
                _LISTENER,
            ),
        ),
        Metric(
            "herald_pushed",
            "counter",
            "messages",
            "Messages that were sent to clients.",
            lambda now: list(now.counters.pushed.items()),
            (Label("transport", "`ws`, `sse`"), _LISTENER),
        ),
        Metric(
            "herald_store_to_socket_seconds",
            "histogram",
            "seconds",
            "Time from storing an entry to sending it to a client: one value for each frame, that of its newest entry."
            " Entries that a client missed and receives when it resumes are included.",
            lambda now: now.counters.store_to_socket,
        ),
        Metric(
            "herald_marked",
            "counter",
            "notifications",
            "Notifications whose state was changed.",
            lambda now: by_label(now.counters.marked),
            (Label("mark", "`read`, `unread`, `archived`"),),
        ),
        Metric(
            "herald_requests",
            "counter",
            "responses",
            "HTTP responses that were sent.",
            lambda now: by_label(now.counters.answers),
            (Label("status", "the HTTP status codes"),),
        ),
        Metric(
            "herald_request_seconds",
            "histogram",
            "seconds",
            "Time from an HTTP request to the start of its response.",
            lambda now: now.counters.request,
        ),
    ),
)
