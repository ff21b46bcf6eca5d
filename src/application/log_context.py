"""Adds the ids of the current request, session, event or delivery to every log line (docs/log-events.md).

The ids are context variables: a new task inherits those of the task that starts it. A task that continues after the
request that started it, or that works for several requests, must not have the ids of one request: start it with
`start_detached`.
"""

import asyncio
from collections.abc import Coroutine, Sequence
from contextlib import AbstractContextManager, nullcontext
from contextvars import Context
from typing import Any, Final, TypeVar

from structlog.contextvars import bind_contextvars, bound_contextvars, get_contextvars

from domain.plans import Plan

T = TypeVar("T")

# Maximum number of request ids in a log line about a batch whose events were published by several requests.
MAX_REQUEST_IDS: Final = 20


def request_context(*request_ids: str) -> AbstractContextManager[None]:
    """Adds the id of an HTTP request to all log lines in the `with` block, as `request_id`. For a batch of events from
    several requests, adds the first 20 ids, as `request_ids`. Without an id, adds nothing."""
    if len(request_ids) == 1:
        return bound_contextvars(request_id=request_ids[0])
    return bound_contextvars(request_ids=request_ids[:MAX_REQUEST_IDS]) if request_ids else nullcontext()


def current_request_id() -> str:
    """Returns the id of the HTTP request that the running task handles; an empty string if there is none."""
    return str(get_contextvars().get("request_id", ""))


def event_context(plans: Sequence[Plan]) -> AbstractContextManager[None]:
    """Adds the origin and the id of an event to all log lines in the `with` block, if `plans` has exactly one plan.
    With several plans, adds nothing: the log lines are about several events."""
    if len(plans) != 1:
        return nullcontext()
    return bound_contextvars(origin=plans[0].origin, event_id=plans[0].event_id)


def bind_user(user_id: str | None) -> None:
    """Adds the user's id to all later log lines of the running task. A no-op for None."""
    if user_id is not None:
        bind_contextvars(user_id=user_id)


def bind_session(session_id: str, user_id: str | None) -> None:
    """Adds the ids of the session and of its user to all later log lines of the running task."""
    bind_contextvars(session_id=session_id, user_id=user_id)


def bind_delivery(delivery_id: str, origin: str, event_id: str) -> None:
    """Adds the ids of the delivery and of its event to all later log lines of the running task."""
    bind_contextvars(delivery_id=delivery_id, origin=origin, event_id=event_id)


def start_detached(work: Coroutine[Any, Any, T], name: str | None = None) -> asyncio.Task[T]:
    """Starts a task whose log lines do not have the ids of the running task, for work that continues after the current
    request or is shared by several."""
    return asyncio.create_task(work, name=name, context=Context())
