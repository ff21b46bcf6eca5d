"""The log line of a 503 response: which request, and why."""

from typing import Any

from litestar.testing import AsyncTestClient
from structlog.contextvars import merge_contextvars
from structlog.testing import capture_logs

from application.ports.store import Store, StoreUnavailable
from entrypoints.app import create_app
from entrypoints.settings.loader import load


async def test_the_line_names_the_request_and_the_reason() -> None:
    app = create_app(load({"HERALD_AUTH": "open", "DATABASE_URL": "memory:", "HERALD_BROKER": "memory"}, "dev", {}))
    async with AsyncTestClient(app, base_url="http://localhost") as client:
        store: Any = await app.state.dishka_container.get(Store)

        async def fail(*_: object, **__: object) -> None:
            raise StoreUnavailable("the database does not answer")

        store.heads = fail
        with capture_logs([merge_contextvars]) as logs:
            answer = await client.get(
                "/api/v2/notifications/unread-count?user_id=ada", headers={"x-request-id": "request-1"}
            )
    assert answer.status_code == 503
    (line,) = [line for line in logs if line["event"] == "request_unavailable"]
    assert line == {
        "event": "request_unavailable",
        "log_level": "warning",
        "method": "GET",
        "path": "/api/v2/notifications/unread-count",
        "request_id": "request-1",
        "user_id": "ada",
        "error": "the database does not answer",
    }
