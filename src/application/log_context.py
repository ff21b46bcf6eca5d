"""The ids in log lines while one request, session, event or delivery is handled (docs/log-events.md).

They are context variables: a task inherits those that are bound when it is created. Work that outlives its cause, or is
shared by several callers, runs without them (`start_detached`).
"""

import asyncio
from collections.abc import Coroutine, Sequence
from contextlib import AbstractContextManager, nullcontext
from contextvars import Context
from typing import Any, Final, TypeVar

from structlog.contextvars import bind_contextvars, bound_contextvars, get_contextvars

from domain.planning import Plan

T = TypeVar("T")

# Maximum number of request ids in a log line about a batch whose events were published by several requests.
MAX_REQUEST_IDS: Final = 20


def request_context(*request_ids: str) -> AbstractContextManager[None]:
    """Binds the id of the HTTP request while it is handled; for events that several requests have published, binds the
    ids of all of them."""
    if len(request_ids) == 1:
        return bound_contextvars(request_id=request_ids[0])
    return bound_contextvars(request_ids=request_ids[:MAX_REQUEST_IDS]) if request_ids else nullcontext()


def current_request_id() -> str:
    """Returns the id of the current request; empty outside a request."""
    return str(get_contextvars().get("request_id", ""))


def event_context(plans: Sequence[Plan]) -> AbstractContextManager[None]:
    """Binds the origin and the id of an event while it is handled. For a batch of several events nothing is bound."""
    if len(plans) != 1:
        return nullcontext()
    return bound_contextvars(origin=plans[0].origin, event_id=plans[0].event_id)


def bind_user(user_id: str | None) -> None:
    """Binds the user's id for the rest of the running task."""
    if user_id is not None:
        bind_contextvars(user_id=user_id)


def bind_session(session_id: str, user_id: str | None) -> None:
    """Binds the ids of the session and of its user for the rest of the running task."""
    bind_contextvars(session_id=session_id, user_id=user_id)


def bind_delivery(delivery_id: str, origin: str, event_id: str) -> None:
    """Binds the ids of the delivery and of its event for the rest of the running task."""
    bind_contextvars(delivery_id=delivery_id, origin=origin, event_id=event_id)


def start_detached(work: Coroutine[Any, Any, T], name: str | None = None) -> asyncio.Task[T]:
    """Starts a task whose log lines have none of the ids of the running task."""
    return asyncio.create_task(work, name=name, context=Context())
