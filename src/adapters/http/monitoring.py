"""Health and metrics of this node. The JSON responses also have the fields of the services that Herald replaces, so
that their monitoring can stay as it is."""

from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

import msgspec
from dishka.integrations.litestar import FromDishka, inject
from litestar import Request, Response, get
from litestar.openapi.datastructures import ResponseSpec

from adapters.http.openapi.operation_parts import also_answers, problems
from application.counters import Counters
from application.hub.hub import Hub
from application.operations.health import Health, ReportHealth
from application.operations.report_backlog import ReportBacklog
from application.ports.backlog_counts import Waiting
from application.ports.clock import Clock
from application.ports.exposition import Exposition
from application.ports.health_check import CheckResult
from application.routes_in_force import RoutesInForce
from domain.protocol.plain_envelopes import to_rfc3339

NOT_READY: Final = {
    503: ResponseSpec(
        dict[str, Any], generate_examples=False, description="The node is not ready. The body is the same as with 200."
    )
}


class About(msgspec.Struct, frozen=True):
    """What this process reports about itself: the version of Herald, the operator's name for the service, the name of
    this node, how callers are identified (`auth`: `jwt` or `open`), and the claim of tokens that is the user."""

    version: str
    service: str
    node: str
    auth: str
    user_claim: str


@get(
    "/health/live",
    tags=["operations"],
    summary="Check that the process is alive",
    response_description="The process is alive.",
    responses=problems(),
)
async def live() -> dict[str, str]:
    """Responds 200 if the process is running. For liveness probes. Does not check the services that the process depends
    on, because restarting the process would not repair those."""
    return {"status": "alive"}


@get(
    "/health/ready",
    tags=["operations"],
    summary="Check that the node is ready",
    response_description="The node is ready.",
    responses=problems() | NOT_READY,
)
@inject
async def ready(report: FromDishka[ReportHealth]) -> Response[Any]:
    """Responds 200 if this node is ready: it accepts new clients, and events that are published now will reach them.
    Otherwise responds 503. For readiness probes and load balancers. The body has the result of each check."""
    health = await report()
    body = {"status": "ready" if health.ready else "not ready", "checks": health.checks, "sources": health.sources}
    return Response(body, status_code=200 if health.ready else 503)


@get(
    "/health",
    tags=["operations"],
    summary="Report health",
    response_description="The node is ready; some checks may have failed.",
    responses=problems() | NOT_READY,
)
@inject
async def health(
    report: FromDishka[ReportHealth],
    hub: FromDishka[Hub],
    counters: FromDishka[Counters],
    clock: FromDishka[Clock],
    about: FromDishka[About],
    routes: FromDishka[RoutesInForce],
) -> Response[Any]:
    """Reports the status of this node: the results of its health checks, the state of its event sources (brokers), and
    the number of connected clients. `status` is `healthy`; `degraded` if the node is ready, but a check has failed; or
    `unhealthy` if the node is not ready. Responds 503 if the node is not ready, otherwise 200."""
    state = await report()
    now = to_rfc3339(clock.now())
    body = {
        "status": "degraded" if state.degraded else "healthy" if state.ready else "unhealthy",
        "service": about.service,
        "node": about.node,
        "version": about.version,
        "routes_version": routes.version,
        "timestamp": now,
        "connections": len(hub.sessions),
        "consumer_running": all(source.ready for source in state.sources),
        "services": _services(state),
        "metrics": _consumer(counters),
        "sse": {"activeConnections": _event_streams(hub), "timestamp": now},
        "checks": state.checks,
        "sources": state.sources,
    }
    return Response(body, status_code=200 if state.ready else 503)


@get(
    "/metrics",
    tags=["operations"],
    summary="Report metrics",
    response_description="The metrics of this node.",
    operation_class=also_answers("text/plain", "application/openmetrics-text"),
    responses=problems(),
)
@inject
async def metrics(
    request: Request[Any, Any, Any],
    hub: FromDishka[Hub],
    counters: FromDishka[Counters],
    clock: FromDishka[Clock],
    exposition: FromDishka[Exposition],
    report_backlog: FromDishka[ReportBacklog],
    about: FromDishka[About],
) -> Response[Any]:
    """Returns the metrics of this node, as JSON by default. If the `Accept` header contains `text/plain`, returns the
    Prometheus text format; if it contains `application/openmetrics-text`, returns the OpenMetrics format. In JSON,
    `waiting` is null while the database is unavailable."""
    accept = request.headers.get("accept", "")
    if "text/plain" in accept or "openmetrics" in accept:
        content, media_type = await exposition.render(accept)
        return Response(content, headers={"content-type": media_type})
    # No `await` after this: all counters of a response are of one moment.
    waiting = await report_backlog()
    now = to_rfc3339(clock.now())
    body = {
        "node": about.node,
        "consumer": _consumer(counters) | {"timestamp": now},
        "sse": {"activeConnections": _event_streams(hub), "timestamp": now},
        "events": {
            "in": counters.events_in,
            "planned": counters.planned,
            "stored": counters.stored,
            "unwanted": counters.unwanted,
            "byType": [
                {"source": source, "type": type, "result": result, "count": count}
                for (source, type, result), count in counters.events.items()
            ],
            "duplicates": counters.duplicates,
            "duplicatesByRoute": [
                {"source": source, "route": route, "count": count}
                for (source, route), count in counters.duplicates_by_route.items()
            ],
            "deadLettered": counters.dead_letters,
            "ignored": counters.ignored,
            "refusedUrls": counters.refused_urls,
        },
        "backplane": counters.backplane,
        "pushed": _without_listener(counters.pushed),
        "deliveries": counters.deliveries,
        "mailAttempts": counters.mails,
        "waiting": _waiting(waiting),
        "routesReloads": counters.reloads,
        "sessions": {
            "open": len(hub.sessions),
            "opened": _without_listener(counters.sessions),
            "closed": _without_listener(counters.closes),
        },
    }
    return Response(body)


def _services(state: Health) -> dict[str, dict[str, str]]:
    return {name: _service(check) for name, check in state.checks.items() if name != "draining"}


def _service(check: CheckResult) -> dict[str, str]:
    if check.untried is True:
        return {"status": "untried"}
    return {"status": "healthy"} if check.ok else {"status": "unhealthy", "reason": check.detail}


def _consumer(counters: Counters) -> dict[str, Any]:
    # The monitoring of a replaced service reads maxCacheSize, the size limit of a cache. Herald has no such cache.
    return {"processedMessagesCount": sum(counters.events_in.values()), "maxCacheSize": None}


def _waiting(waiting: Waiting | None) -> dict[str, Any] | None:
    if waiting is None:
        return None
    deliveries = {
        channel: {"pending": one.count, "oldestAgeSeconds": one.oldest_age_s}
        for channel, one in waiting.deliveries.items()
    }
    return {"deliveries": deliveries, "deadLetters": waiting.dead_letters}


def _event_streams(hub: Hub) -> int:
    return sum(1 for session in hub.sessions if session.view.transport == "sse")


def _without_listener(counts: Mapping[tuple[str, str], int]) -> dict[str, int]:
    """Returns the sums over all listeners of what is counted by a name and the listener."""
    sums: Counter[str] = Counter()
    for (name, _), count in counts.items():
        sums[name] += count
    return sums
