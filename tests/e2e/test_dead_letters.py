"""`herald dead-letters` against a running Herald with a database."""

from collections.abc import Iterator

import pytest
from click.testing import CliRunner, Result

from domain.broker_messages import Message
from domain.planning import plan
from entrypoints.cli.main import main
from tests.support.core import NOW, message, table
from tests.support.server import Server
from tests.support.stores import sql


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"sqlite+aiosqlite:///{tmp_path_factory.mktemp('dead-letters')}/herald.db"


@pytest.fixture(scope="module")
def server(place: str) -> Iterator[Server]:
    """One server for all tests, each of which leaves no dead letter."""
    server = Server({"DATABASE_URL": place}).start(ready=True)
    yield server
    server.kill()
    print(server.log[-20_000:])


async def lose(place: str, *messages: Message) -> None:
    """Store the plans of the messages with routes that do not know these sources, so that they become dead letters."""
    async with sql(place, 1) as stores:
        await stores.store.record([plan(one, table()) for one in messages], NOW)


def herald(server: Server, *arguments: str) -> Result:
    result = CliRunner().invoke(main, ["dead-letters", *arguments, "--url", server.url])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


async def test_list_show_replay_and_drop(server: Server, place: str) -> None:
    await lose(
        place,
        message("risk-events", {"user_id": "ada"}, "r-1"),
        message("risk-events", {"nobody": 1}, "r-2"),
        message("somewhere", b"\xff\x00", "s-1"),
    )
    listed = herald(server, "list")
    assert listed.stderr == "3 of 3\n"
    newest, *_ = lines = listed.stdout.splitlines()
    assert len(lines) == 3
    assert "somewhere  not_utf8: " in newest
    assert len(herald(server, "list", "--limit", "1").stdout.splitlines()) == 1
    assert len(herald(server, "list", "--source", "risk-events", "--reason", "no_route").stdout.splitlines()) == 2
    assert herald(server, "list", "--since", "2026-03-02").stderr == "0 of 0\n"

    id = newest.split()[0]
    shown = herald(server, "show", id).stdout
    assert "reason    not_utf8" in shown
    assert "body      base64 /wA=" in shown
    assert herald(server, "show", id, "--body").stdout_bytes == b"\xff\x00"

    replayed = herald(server, "replay", "--source", "risk-events")
    assert replayed.exit_code == 1
    assert "no_recipient: " in replayed.stdout
    assert "Replayed: 1, failed again: 1" in replayed.stdout

    assert herald(server, "drop", id).stdout == "Dropped: 1\n"
    assert herald(server, "drop", "--all").stdout == "Dropped: 1\n"
    assert herald(server, "list").stderr == "0 of 0\n"
    assert herald(server, "replay", "--all").stdout == "Replayed: 0, failed again: 0\n"


async def test_commands_process_more_than_one_page(server: Server, place: str) -> None:
    await lose(place, *(message("risk-events", {"user_id": "ada"}, f"many-{number}") for number in range(1_050)))
    assert herald(server, "list", "--limit", "150").stderr == "150 of 1050\n"
    replayed = herald(server, "replay", "--all")
    assert (replayed.exit_code, replayed.stdout) == (0, "Replayed: 1050, failed again: 0\n")


def test_invalid_commands_are_errors(server: Server) -> None:
    for arguments in (["replay"], ["drop"], ["drop", "--all", "--source", "a"], ["replay", "x", "--all"]):
        result = herald(server, *arguments)
        assert result.exit_code == 2, arguments
        assert "Select dead letters in one of three ways: by ids, by filters, or with --all." in result.stderr
    for id in ("../events", "a/b", "?"):
        assert "is not the id of a dead letter" in herald(server, "show", id).stderr
    absent = herald(server, "replay", "0193a0f4-5b6c-7d8e-9fa0-b1c2d3e4f5a6")
    assert (absent.exit_code, absent.stderr) == (
        1,
        "Error: Refused with 404: Not found: This dead letter does not exist.\n",
    )
    wrong = herald(server, "list", "--since", "yesterday")
    assert (wrong.exit_code, "not an ISO 8601 date" in wrong.stderr) == (1, True)
