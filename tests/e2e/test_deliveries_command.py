"""`herald deliveries` against a running Herald with a database."""

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import httpx
import pytest
from click.testing import CliRunner, Result

from adapters.clock import Uuid7Factory
from adapters.sql.database import Database
from adapters.sql.deliveries import SqlDeliveries
from adapters.sql.store import SqlStore
from application.ports.deliveries import Outcome
from domain.deliveries import Attempt, Status
from domain.deliveries import Result as AttemptResult
from domain.planning import plan
from entrypoints.cli.main import main
from tests.support.clients import token
from tests.support.core import message, table
from tests.support.server import SECRET, Server
from tests.support.sqlite import create_database

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


# Parents before children.
TABLES = ("deliveries", "delivery_items", "delivery_attempts")


class Log:
    """The delivery log of a running server. It is filled in a file of its own first: otherwise the server would send
    what is to be a failed delivery."""

    def __init__(self, server: Server, folder: Path) -> None:
        self._server = server
        self._file = folder / "log.db"
        create_database(self._file)

    @asynccontextmanager
    async def _open(self, file: Path) -> AsyncIterator[Database]:
        database = Database(f"sqlite+aiosqlite:///{file}", 1)
        yield database
        await database.close()

    def give(self) -> None:
        """Replace all deliveries of the server by those added so far."""
        with closing(sqlite3.connect(self._server.database, timeout=10)) as connection:
            connection.execute("ATTACH ? AS own", (str(self._file),))
            with connection:
                for table in TABLES:
                    connection.execute(f"DELETE FROM main.{table}")
                    connection.execute(f"INSERT INTO main.{table} SELECT * FROM own.{table}")

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
        async with self._open(self._file) as database:
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
        async with self._open(self._server.database) as database:
            kept = {str(one.id): one.status for one in await SqlDeliveries(database).newest(10_000)}
        return {kept[id] for id in ids}


@pytest.fixture(scope="module")
def open_server() -> Iterator[Server]:
    server = Server({"HERALD_REST_RATE": "0"}).start(ready=True)
    yield server
    server.kill()


@pytest.fixture(scope="module")
def jwt_server() -> Iterator[Server]:
    env = {"HERALD_AUTH": "jwt", "HERALD_BROKER": "memory", "HERALD_JWT_SECRET": SECRET, "HERALD_REST_RATE": "1"}
    server = Server(env, ("serve",)).start(ready=True)
    yield server
    server.kill()


@pytest.fixture
def server(request: pytest.FixtureRequest) -> Server:
    found: Server = request.getfixturevalue(getattr(request, "param", "open_server"))
    return found


@pytest.fixture
def log(server: Server, tmp_path: Path) -> Log:
    return Log(server, tmp_path)


def herald(server: Server, *arguments: str, **environ: str) -> Result:
    result = CliRunner().invoke(main, ["deliveries", *arguments, "--url", server.url], env=environ)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


async def test_list_show_and_retry(server: Server, log: Log) -> None:
    (failed,) = await log.fill("failed", text="no\n\x1b[2Jsuch user", result="refused")
    (sent,) = await log.fill("sent", order="o-2")
    log.give()
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


async def test_list_as_json_with_the_filters_of_rest(server: Server, log: Log) -> None:
    (failed,) = await log.fill("failed")
    (sent,) = await log.fill("sent", order="o-2")
    log.give()
    listed = [json.loads(line) for line in herald(server, "list", "--json").stdout.splitlines()]
    assert [one["id"] for one in listed] == [sent, failed]
    async with httpx.AsyncClient(base_url=server.url) as client:
        assert listed == (await client.get("/api/v1/notifications")).json()["items"]
    event, since = listed[0]["event_id"], listed[0]["created_at"]
    assert herald(server, "list", "--event", event).stderr == "1 of 1\n"
    assert herald(server, "list", "--since", since).stderr == "2 of 2\n"
    assert herald(server, "list", "--since", "2999-01-01").stderr == "0 of 0\n"
    assert herald(server, "list", "--user", "kim").stderr == "0 of 0\n"


async def test_retry_all_failed_skips_refused_deliveries_and_applies_filters(server: Server, log: Log) -> None:
    (refused,) = await log.fill("failed", order="o-1", result="refused")
    (given_up,) = await log.fill("failed", order="o-2")
    (other,) = await log.fill("failed", order="o-3")
    log.give()
    assert herald(server, "retry", "--all-failed", "--order", "o-2").stdout == "To be tried again: 1, refused: 0\n"
    assert await log.statuses(refused, other) == {"failed"}
    assert await log.statuses(given_up) <= {"pending", "sent"}
    assert herald(server, "retry", "--all-failed").stdout == "To be tried again: 1, refused: 0\n"
    assert await log.statuses(refused) == {"failed"}
    retried = herald(server, "retry", "--all-failed", "--refused", "--recipient", "kim@example.com")
    assert retried.stdout == "To be tried again: 1, refused: 0\n"
    assert herald(server, "retry", refused, "--order", "o-1").exit_code == 2


async def test_concurrent_retries_send_one_mail(server: Server, log: Log) -> None:
    (id,) = await log.fill("failed")
    log.give()
    async with httpx.AsyncClient(base_url=server.url, timeout=20) as client:
        retries = (client.post(f"/api/v1/notifications/retry/{id}") for _ in range(8))
        answers = await asyncio.gather(*retries)
        assert sorted(answer.status_code for answer in answers) == [200] + [409] * 7
        async with asyncio.timeout(20):
            while (item := (await client.get(f"/api/v1/notifications/{id}")).json())["status"] != "sent":
                await asyncio.sleep(0.02)
    assert [attempt["result"] for attempt in item["attempt_log"]] == ["deferred", "sent"]
    assert (server.mails / f"{UUID(id).hex}.eml").exists()


async def test_retry_all_failed_processes_more_than_one_page(server: Server, log: Log) -> None:
    failed, sent = await log.fill("failed", 110), await log.fill("sent", 3, order="o-2")
    log.give()
    assert herald(server, "list", "--limit", "105").stderr == "105 of 113\n"
    listed = herald(server, "list", "--limit", "1000").stdout.splitlines()
    assert [line.split()[0] for line in listed] == [*sent[::-1], *failed[::-1]]
    retried = herald(server, "retry", "--all-failed")
    assert (retried.exit_code, retried.stdout) == (0, "To be tried again: 110, refused: 0\n")
    assert "failed" not in await log.statuses(*failed, *sent)
    assert herald(server, "retry", "--all-failed").stdout == "To be tried again: 0, refused: 0\n"


@pytest.mark.parametrize("server", ["jwt_server"], indirect=True)
async def test_retrying_many_deliveries_respects_the_rate_limit(server: Server, log: Log) -> None:
    # The burst is ten requests.
    failed = await log.fill("failed", 12)
    log.give()
    retried = herald(server, "retry", "--all-failed", HERALD_TOKEN=token("ops", scope="admin"))
    assert (retried.exit_code, retried.stdout) == (0, "To be tried again: 12, refused: 0\n")
    assert await log.statuses(*failed) <= {"pending", "sent"}


@pytest.mark.parametrize("server", ["jwt_server"], indirect=True)
async def test_an_error_that_affects_all_deliveries_ends_the_run(server: Server, log: Log) -> None:
    failed = await log.fill("failed", 2)
    log.give()
    reader = {"HERALD_TOKEN": token("desk", scope="deliveries:read")}
    assert "  k***@example.com  Order o-1" in herald(server, "list", **reader).stdout
    for arguments in (("--all-failed",), tuple(failed)):
        retried = herald(server, "retry", *arguments, **reader)
        assert (retried.exit_code, retried.stdout) == (1, "To be tried again: 0, refused: 0\n")
        assert retried.stderr == "Error: Refused with 403: Scope missing: This request needs the scope admin.\n"
    assert await log.statuses(*failed) == {"failed"}


def test_invalid_commands_are_errors(open_server: Server) -> None:
    for arguments in (["retry"], ["retry", "x", "--all-failed"]):
        result = herald(open_server, *arguments)
        assert result.exit_code == 2, arguments
        assert "Select mails either by ids or with --all-failed." in result.stderr
    for command in ("show", "retry"):
        for id in ("../events", "a/b", "?"):
            assert "is not the id of a delivery" in herald(open_server, command, id).stderr
    assert herald(open_server, "list", "--status", "lost").exit_code == 2
    wrong = herald(open_server, "list", "--order", "\0")
    assert (wrong.exit_code, "U+0000" in wrong.stderr) == (1, True)
