"""`herald deliveries` against a running Herald with a database."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner, Result

from adapters.clock import Uuid7Factory
from adapters.sql.database import Database
from adapters.sql.deliveries import SqlDeliveries
from adapters.sql.schema import Schema
from adapters.sql.store import SqlStore
from application.ports.deliveries import Outcome
from domain.deliveries import Attempt, Status
from domain.deliveries import Result as AttemptResult
from domain.planning import plan
from entrypoints.cli.main import main
from tests.e2e.conftest import StartServer
from tests.support.clients import token
from tests.support.core import message, table
from tests.support.server import SECRET, Server

# A recent time, because a server prunes old deliveries at its start.
MADE = datetime.now(UTC)
SHOWN = MADE.strftime("%Y-%m-%d %H:%M:%S")

ROUTES = table(
    """
profile = "orders"
[[routes]]
source = "order.created"
email = { to = "to", subject = "Order {order_id}", template = "order_created.html" }
reference = "order_id"
"""
)


class Log:
    """A database file with a delivery log, filled before the server starts."""

    def __init__(self, folder: Path) -> None:
        self.url = f"sqlite+aiosqlite:///{folder}/herald.db"
        self.mails = folder / "mail"
        self.env = {"DATABASE_URL": self.url, "HERALD_MAIL_FOLDER": str(self.mails)}

    @asynccontextmanager
    async def _open(self) -> AsyncIterator[Database]:
        database = Database(self.url, 1)
        yield database
        await database.close()

    async def fill(
        self,
        status: Status,
        count: int = 1,
        *,
        text: str = "no such user",
        order: str = "o-1",
        result: AttemptResult = "deferred",
    ) -> list[str]:
        """Add that many deliveries with one attempt and this status. Returns their ids, oldest first."""
        async with self._open() as database:
            await Schema(database).upgrade()
            events = [
                message("order.created", {"to": "kim@example.com", "order_id": order}, f"{order}-{status}-{number}")
                for number in range(count)
            ]
            recorded = await SqlStore(database, Uuid7Factory()).record([plan(one, ROUTES) for one in events], MADE)
            deliveries = SqlDeliveries(database)
            claims = await deliveries.claim("email", count, 3600)
            attempt = Attempt(MADE, 0.25, "sent" if status == "sent" else result, 550, text)
            outcomes = [Outcome(claim, attempt, status, None if status == "sent" else text) for claim in claims]
            assert await deliveries.record_outcomes(outcomes) == count
            return [str(delivery.id) for delivery in recorded.deliveries]

    async def statuses(self, *ids: str) -> set[str]:
        async with self._open() as database:
            kept = {str(one.id): one.status for one in await SqlDeliveries(database).newest(10_000)}
        return {kept[id] for id in ids}


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return Log(tmp_path)


def herald(server: Server, *arguments: str, **environ: str) -> Result:
    result = CliRunner().invoke(main, ["deliveries", *arguments, "--url", server.url], env=environ)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


async def test_list_show_and_retry(start_server: StartServer, log: Log) -> None:
    (failed,) = await log.fill("failed", text="no\n\x1b[2Jsuch user", result="refused")
    (sent,) = await log.fill("sent", order="o-2")
    server = start_server(log.env)
    listed = herald(server, "list")
    assert listed.stderr == "2 of 2\n"
    newest, oldest = listed.stdout.splitlines()
    assert newest == f"{sent}  {SHOWN}  sent     kim@example.com  Order o-2"
    assert oldest == f"{failed}  {SHOWN}  failed   kim@example.com  Order o-1: no \\u001b[2Jsuch user"
    for choice in (("--status", "failed"), ("--order", "o-1"), ("--recipient", "kim@EXAMPLE.com", "--order", "o-1")):
        assert herald(server, "list", *choice).stdout == f"{oldest}\n"
    assert herald(server, "list", "--recipient", "lee@example.com").stderr == "0 of 0\n"

    shown = herald(server, "show", failed).stdout.splitlines()
    assert f"id              {failed}" in shown
    assert "recipient       kim@example.com" in shown
    assert "sent_at         -" in shown
    assert shown[-1] == f"  {SHOWN}  0.250 s  refused: 550 no \\u001b[2Jsuch user"

    absent = "0193a0f4-5b6c-7d8e-9fa0-b1c2d3e4f5a6"
    retried = herald(server, "retry", sent, absent, failed)
    assert retried.exit_code == 1
    refusals = retried.stdout.splitlines()
    assert refusals[0].startswith(f"{sent}  Refused with 409: Not failed: ")
    assert refusals[0].endswith("this one is sent.")
    assert refusals[1] == f"{absent}  Refused with 404: Not found: There is no such delivery."
    assert refusals[2:] == ["To be tried again: 1, refused: 2"]
    assert "failed" not in await log.statuses(failed, sent)


async def test_list_as_json_with_the_filters_of_rest(start_server: StartServer, log: Log) -> None:
    (failed,) = await log.fill("failed")
    (sent,) = await log.fill("sent", order="o-2")
    server = start_server(log.env)
    listed = [json.loads(line) for line in herald(server, "list", "--json").stdout.splitlines()]
    assert [one["id"] for one in listed] == [sent, failed]
    async with httpx.AsyncClient(base_url=server.url) as client:
        assert listed == (await client.get("/api/v1/notifications")).json()["items"]
    event, since = listed[0]["event_id"], listed[0]["created_at"]
    assert herald(server, "list", "--event", event).stderr == "1 of 1\n"
    assert herald(server, "list", "--since", since).stderr == "2 of 2\n"
    assert herald(server, "list", "--since", "2999-01-01").stderr == "0 of 0\n"
    assert herald(server, "list", "--user", "kim").stderr == "0 of 0\n"


async def test_retry_all_failed_skips_refused_deliveries_and_applies_filters(
    start_server: StartServer, log: Log
) -> None:
    (refused,) = await log.fill("failed", order="o-1", result="refused")
    (given_up,) = await log.fill("failed", order="o-2")
    (other,) = await log.fill("failed", order="o-3")
    server = start_server(log.env)
    assert herald(server, "retry", "--all-failed", "--order", "o-2").stdout == "To be tried again: 1, refused: 0\n"
    assert await log.statuses(refused, other) == {"failed"}
    assert await log.statuses(given_up) <= {"pending", "sent"}
    assert herald(server, "retry", "--all-failed").stdout == "To be tried again: 1, refused: 0\n"
    assert await log.statuses(refused) == {"failed"}
    retried = herald(server, "retry", "--all-failed", "--refused", "--recipient", "kim@example.com")
    assert retried.stdout == "To be tried again: 1, refused: 0\n"
    assert herald(server, "retry", refused, "--order", "o-1").exit_code == 2


async def test_concurrent_retries_send_one_mail(start_server: StartServer, log: Log) -> None:
    (id,) = await log.fill("failed")
    server = start_server(log.env)
    async with httpx.AsyncClient(base_url=server.url, timeout=20) as client:
        retries = (client.post(f"/api/v1/notifications/retry/{id}") for _ in range(8))
        answers = await asyncio.gather(*retries)
        assert sorted(answer.status_code for answer in answers) == [200] + [409] * 7
        async with asyncio.timeout(20):
            while (item := (await client.get(f"/api/v1/notifications/{id}")).json())["status"] != "sent":
                await asyncio.sleep(0.1)
        # Longer than the polling interval of the queue: a second mail would have been sent by now.
        await asyncio.sleep(1)
        assert (await client.get(f"/api/v1/notifications/{id}")).json() == item
    assert [attempt["result"] for attempt in item["attempt_log"]] == ["deferred", "sent"]
    assert len([*log.mails.rglob("*.eml")]) == 1


async def test_retry_all_failed_processes_more_than_one_page(start_server: StartServer, log: Log) -> None:
    failed, sent = await log.fill("failed", 230), await log.fill("sent", 3, order="o-2")
    server = start_server(log.env)
    assert herald(server, "list", "--limit", "150").stderr == "150 of 233\n"
    listed = herald(server, "list", "--limit", "1000").stdout.splitlines()
    assert [line.split()[0] for line in listed] == [*sent[::-1], *failed[::-1]]
    retried = herald(server, "retry", "--all-failed")
    assert (retried.exit_code, retried.stdout) == (0, "To be tried again: 230, refused: 0\n")
    assert "failed" not in await log.statuses(*failed, *sent)
    assert herald(server, "retry", "--all-failed").stdout == "To be tried again: 0, refused: 0\n"


async def test_retrying_many_deliveries_respects_the_rate_limit(start_server: StartServer, log: Log) -> None:
    failed = await log.fill("failed", 60)
    strict: dict[str, Any] = {"HERALD_AUTH": "jwt", "HERALD_BROKER": "memory", "HERALD_JWT_SECRET": SECRET}
    server = start_server({**log.env, **strict, "HERALD_REST_RATE": "5"}, ("serve",))
    retried = herald(server, "retry", "--all-failed", HERALD_TOKEN=token("ops", scope="admin"))
    assert (retried.exit_code, retried.stdout) == (0, "To be tried again: 60, refused: 0\n")
    assert await log.statuses(*failed) <= {"pending", "sent"}


async def test_an_error_that_affects_all_deliveries_ends_the_run(start_server: StartServer, log: Log) -> None:
    failed = await log.fill("failed", 2)
    strict: dict[str, Any] = {"HERALD_AUTH": "jwt", "HERALD_BROKER": "memory", "HERALD_JWT_SECRET": SECRET}
    server = start_server({**log.env, **strict}, ("serve",))
    reader = {"HERALD_TOKEN": token("desk", scope="deliveries:read")}
    assert "  k***@example.com  Order o-1" in herald(server, "list", **reader).stdout
    for arguments in (("--all-failed",), tuple(failed)):
        retried = herald(server, "retry", *arguments, **reader)
        assert (retried.exit_code, retried.stdout) == (1, "To be tried again: 0, refused: 0\n")
        assert retried.stderr == "Error: Refused with 403: Scope missing: This needs the scope admin.\n"
    assert await log.statuses(*failed) == {"failed"}


def test_invalid_commands_are_errors(dev_server: Server) -> None:
    for arguments in (["retry"], ["retry", "x", "--all-failed"]):
        result = herald(dev_server, *arguments)
        assert result.exit_code == 2, arguments
        assert "Say which: by ids, or --all-failed." in result.stderr
    for command in ("show", "retry"):
        for id in ("../events", "a/b", "?"):
            assert "is not the id of a delivery" in herald(dev_server, command, id).stderr
    assert herald(dev_server, "list", "--status", "lost").exit_code == 2
    wrong = herald(dev_server, "list", "--order", "\0")
    assert (wrong.exit_code, "U+0000" in wrong.stderr) == (1, True)
