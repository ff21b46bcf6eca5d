"""Preparing the database before the start, and the command `herald db`."""

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from structlog.testing import capture_logs

from adapters.sql.database import Database
from adapters.sql.schema import Schema
from domain.backoff import Backoff
from entrypoints.cli.main import main
from entrypoints.prepare_database import PreparePolicy, StartRefused, open_database, prepare
from entrypoints.settings.loader import NAMES, Settings, load
from tests.support.postgres import Postgres
from tests.support.service import free_port

HEAD = Schema(Database("sqlite+aiosqlite:///never-opened.db")).head()


def settings(mode: Any, url: str) -> Settings:
    return load({"HERALD_AUTH": "open", "DATABASE_URL": url}, mode, {})


async def revision(url: str) -> str | None:
    async with open_database(settings("dev", url)) as (_, schema):
        return await schema.current()


@pytest.fixture
def file_url(tmp_path: Path) -> str:
    """The URL of an SQLite file in a folder that does not exist yet."""
    return f"sqlite+aiosqlite:///{tmp_path}/var/deep/herald.db"


class TestPrepare:
    @pytest.mark.parametrize("mode", ["dev", "serve"])
    async def test_an_sqlite_file_is_created_with_its_folder_and_upgraded(self, mode: str, file_url: str) -> None:
        await prepare(settings(mode, file_url), migrate=False)
        assert await revision(file_url) is not None

    async def test_dev_upgrades_postgresql(self, empty_postgres_url: str) -> None:
        await prepare(settings("dev", empty_postgres_url), migrate=False)
        assert await revision(empty_postgres_url) is not None

    async def test_serve_does_not_upgrade_unless_migrate_is_set(self, empty_postgres_url: str) -> None:
        with pytest.raises(StartRefused, match="`herald db upgrade`") as refused:
            await prepare(settings("serve", empty_postgres_url), migrate=False)
        assert refused.value.code == 2
        assert await revision(empty_postgres_url) is None
        await asyncio.gather(*(prepare(settings("serve", empty_postgres_url), migrate=True) for _ in range(4)))
        await prepare(settings("serve", empty_postgres_url), migrate=False)

    async def test_a_newer_schema_is_a_warning(self, postgres: Postgres, postgres_url: str) -> None:
        postgres.psql("UPDATE alembic_version SET version_num = '9999'", postgres_url)
        for migrate in (False, True):
            with capture_logs() as logs:
                await prepare(settings("serve", postgres_url), migrate=migrate)
            assert [(one["log_level"], one["revision"], one["known_revision"]) for one in logs] == [
                ("warning", "9999", HEAD)
            ]

    async def test_the_memory_store_needs_no_preparation(self) -> None:
        await prepare(settings("serve", "memory:"), migrate=True)

    async def test_an_unavailable_database_is_retried_with_backoff(self, postgres: Postgres, postgres_url: str) -> None:
        policy = PreparePolicy(retry=Backoff(0.1, 5.0))
        postgres.stop()
        try:
            with capture_logs() as logs:
                waiting = asyncio.create_task(prepare(settings("serve", postgres_url), migrate=False, policy=policy))
                await asyncio.sleep(0.5)
                assert not waiting.done()
        finally:
            await asyncio.to_thread(postgres.start)
        await asyncio.wait_for(waiting, 10)
        tries = [one for one in logs if one["event"] == "database_unavailable"]
        assert len(tries) >= 2
        assert tries[0]["retry_s"] < tries[1]["retry_s"]

    async def test_an_unavailable_database_fails_the_start_after_the_timeout(self) -> None:
        url = f"postgresql://me:hunter2@127.0.0.1:{free_port()}/x"
        with pytest.raises(
            StartRefused, match=r"still unavailable after 0\.3 s: the database does not answer"
        ) as refused:
            await prepare(settings("serve", url), migrate=False, policy=PreparePolicy(0.3, Backoff(0.1, 5.0)))
        assert refused.value.code == 1
        assert "hunter2" not in str(refused.value)
        assert "\n" not in str(refused.value)

    async def test_a_refused_connection_is_not_retried(self, postgres: Postgres) -> None:
        async with asyncio.timeout(5):
            with pytest.raises(StartRefused, match="does not exist") as refused:
                await prepare(settings("serve", postgres.url("nowhere")), migrate=False)
        assert refused.value.code == 2

    async def test_a_folder_that_cannot_be_created_refuses_the_start(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        with pytest.raises(StartRefused, match=r"can't be created: (Not a directory|File exists)") as refused:
            await prepare(settings("dev", f"sqlite:///{tmp_path}/file/herald.db"), migrate=False)
        assert refused.value.code == 2


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES & os.environ.keys():
        monkeypatch.delenv(name)


@pytest.fixture(params=["postgresql", "sqlite"])
def url(request: pytest.FixtureRequest, file_url: str) -> str:
    found: str = file_url if request.param == "sqlite" else request.getfixturevalue("empty_postgres_url")
    return found


def db(url: str, *arguments: str) -> Result:
    result = CliRunner().invoke(main, ["db", *arguments], env={"DATABASE_URL": url})
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


class TestCommands:
    def test_upgrade_and_downgrade(self, url: str) -> None:
        assert db(url, "current").output == f"no tables yet, this version needs {HEAD}\n"
        assert db(url, "upgrade").output == f"Upgraded to revision {HEAD}.\n"
        assert db(url, "upgrade").output == f"Nothing to do: at revision {HEAD}.\n"
        assert db(url, "current").output == f"{HEAD}\n"
        assert db(url, "check").output == "The schema is the one that this version needs.\n"
        assert db(url, "downgrade", "--yes", "base").output == "Downgraded: there are no tables left.\n"
        assert db(url, "current").output.startswith("no tables yet")

    def test_check_lists_the_differences(self, url: str) -> None:
        db(url, "upgrade")
        db(url, "downgrade", "--yes", "base")
        result = db(url, "check")
        assert result.exit_code == 1
        assert "needs: add table notifications\n" in result.output

    def test_downgrade_requires_confirmation(self, url: str) -> None:
        db(url, "upgrade")
        assert db(url, "downgrade", "--", "-1").exit_code == 1
        assert db(url, "current").output == f"{HEAD}\n"

    def test_new_epoch_changes_the_epoch(self, url: str) -> None:
        assert "`herald db upgrade`" in db(url, "new-epoch").stderr
        db(url, "upgrade")
        first, second = db(url, "new-epoch").output, db(url, "new-epoch").output
        assert "Restart all nodes" in first
        assert first.split()[3] != second.split()[3]

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [(("downgrade", "--yes", "nowhere"), "nowhere"), (("upgrade", "extra"), "unexpected extra argument")],
    )
    def test_an_impossible_command_reports_an_error(self, url: str, arguments: tuple[str, ...], words: str) -> None:
        db(url, "upgrade")
        result = db(url, *arguments)
        assert result.exit_code != 0
        assert words in result.stderr


def test_the_memory_store_has_no_schema() -> None:
    result = db("memory:", "upgrade")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "no schema" in result.stderr


def test_an_unavailable_database_is_reported_without_the_password() -> None:
    result = db(f"postgresql://me:hunter2@127.0.0.1:{free_port()}/x", "current")
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: the database does not answer")
    assert "hunter2" not in result.output
