"""The OpenAPI document is correct: schemathesis finds no 5xx and no undocumented response, for any caller."""

import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest
from playwright.async_api import Page, expect

from tests.e2e.conftest import StartServer
from tests.support.clients import token
from tests.support.pages import IN_BROWSER_LOOP
from tests.support.postgres import Postgres
from tests.support.server import SECRET, Server

# All checks are enabled, with these exceptions:
# - the event stream is endless, so it cannot be called to its end;
# - valid data may be refused with 422: a schema cannot express what the routes make of an event, which dates exist, or
#   that a list is paged either by number or by cursor;
# - Litestar reads 0 and 1 as booleans in bodies too, and an optional body may be `null`. Both are documented as the
#   stricter type.
CONFIG: Final = """
[checks]
positive_data_acceptance.expected-statuses = ["2xx", "401", "403", "404", "422", "429"]

[[operations]]
include-path = "/events/stream"
enabled = false

[[operations]]
include-path = ["/api/v2/preferences", "/api/v2/notifications/mark-all-read", "/api/v2/notifications/seen"]
checks.negative_data_rejection.enabled = false
"""

UNLIMITED: Final = {"HERALD_REST_RATE": "0", "HERALD_PUBLISH_RATE": "0"}


@pytest.fixture(scope="module")
def open_server(start_shared_server: StartServer) -> Server:
    return start_shared_server({**UNLIMITED, "DATABASE_URL": "memory:"})


@pytest.fixture(scope="module")
def jwt_server(start_shared_server: StartServer, postgres: Postgres) -> Server:
    env = {"HERALD_AUTH": "jwt", "HERALD_BROKER": "memory", "HERALD_JWT_SECRET": SECRET}
    return start_shared_server({**UNLIMITED, **env, "DATABASE_URL": postgres.create()}, ("serve",))


# The admin reaches everything, so the coverage phase, which tries every boundary of every parameter, runs for the admin
# only. Without a token, the response is the same whatever is sent.
@pytest.mark.parametrize(
    ("kind", "who", "phases", "examples"),
    [
        ("open_server", None, "examples,fuzzing", 1),
        ("jwt_server", None, "fuzzing", 1),
        ("jwt_server", {"scope": "admin"}, "examples,coverage,fuzzing", 2),
    ],
    ids=["open", "nobody", "an admin"],
)
def test_every_operation_answers_as_documented(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    kind: str,
    who: dict[str, str] | None,
    phases: str,
    examples: int,
) -> None:
    server: Server = request.getfixturevalue(kind)
    (config := tmp_path / "schemathesis.toml").write_text(CONFIG)
    shown = [] if who is None else ["--header", f"Authorization: Bearer {token('ada', **who)}"]
    run = subprocess.run(
        [
            *(str(Path(sys.executable).with_name("schemathesis")), "--config-file", str(config), "--no-color"),
            *("run", f"{server.url}/schema/openapi.json", *shown),
            *("--seed", "4", "--max-examples", str(examples), "--phases", phases),
            *("--no-shrink", "--continue-on-failure", "--request-timeout", "20", "--warnings", "off"),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=tmp_path,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert "request_failed" not in server.log


@IN_BROWSER_LOOP
async def test_the_schema_page_loads_nothing_from_other_hosts(open_server: Server, page: Page) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    await page.set_viewport_size({"width": 390, "height": 844})
    await page.goto(f"{open_server.url}/schema")
    operation = page.locator("#operations-notifications-list_notifications")
    await expect(operation).to_be_visible()
    await operation.click()
    await expect(operation.get_by_text("Lists notifications, newest first.")).to_be_visible()
    assert all(url.startswith((open_server.url, "data:")) for url in asked), asked
    assert await page.evaluate("document.documentElement.scrollWidth") <= 390
