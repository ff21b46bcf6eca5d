"""The record of moved streams on PostgreSQL: transactions in progress, old marks, other servers, pruning."""

import asyncio

import pytest
from sqlalchemy import text

from adapters.sql.database import Database
from adapters.sql.store import SqlStore
from adapters.sql.stream_moves import KEPT_S, StreamMoves
from tests.support.stores import direct, record

ROWS = text("SELECT count(*) FROM stream_moves")


@pytest.fixture
async def moves(database: Database, store: SqlStore) -> StreamMoves:
    await record(store, direct("a", "ada", "bob"))
    return StreamMoves(database)


def older(mark: str | None, seconds: int) -> str:
    assert mark is not None
    at, _, snapshot = mark.partition(" ")
    return f"{int(at) - seconds} {snapshot}"


async def test_a_transaction_that_commits_after_a_later_one_is_not_missed(
    moves: StreamMoves, database: Database
) -> None:
    mark = (await moves.since(None)).mark
    async with database.engine.connect() as slow:
        await slow.execute(text("UPDATE inboxes SET last_seq = 9 WHERE user_id = 'ada'"))
        async with database.engine.begin() as fast:
            await fast.execute(text("UPDATE inboxes SET last_seq = 9 WHERE user_id = 'bob'"))
        seen = await moves.since(mark)
        assert seen.streams == {"inbox:bob"}
        # While one transaction is in progress, what has been read is not read again.
        seen = await moves.since(seen.mark)
        assert seen.streams == frozenset()
        await slow.commit()
    assert (await moves.since(seen.mark)).streams == {"inbox:ada"}


async def test_changes_that_are_rolled_back_are_not_named(moves: StreamMoves, database: Database) -> None:
    mark = (await moves.since(None)).mark
    async with database.engine.connect() as connection:
        await connection.execute(text("UPDATE feeds SET last_seq = 9"))
        await connection.execute(text("UPDATE inboxes SET last_seq = 9"))
        await connection.rollback()
    assert (await moves.since(mark)).streams == frozenset()


async def test_a_mark_that_is_too_old_names_nothing(moves: StreamMoves) -> None:
    mark = (await moves.since(None)).mark
    assert (await moves.since(older(mark, KEPT_S // 2 - 5))).streams == frozenset()
    too_old = await moves.since(older(mark, KEPT_S // 2 + 5))
    assert too_old.streams is None
    assert (await moves.since(too_old.mark)).streams == frozenset()


async def test_a_mark_of_another_server_names_nothing(moves: StreamMoves) -> None:
    mark = (await moves.since(None)).mark
    assert mark is not None
    at = mark.split(" ")[0]
    assert (await moves.since(f"{at} 900000000000:900000000000:")).streams is None


async def test_old_records_are_deleted(moves: StreamMoves, database: Database) -> None:
    async def rows() -> int:
        async with database.engine.connect() as connection:
            return (await connection.execute(ROWS)).scalar_one()

    before = await rows()
    assert before > 0
    await moves.prune()
    assert await rows() == before
    async with database.engine.begin() as connection:
        await connection.execute(text(f"UPDATE stream_moves SET at = at - interval '{KEPT_S + 1} seconds'"))
    await moves.prune()
    assert await rows() == 0


async def test_concurrent_writers_are_never_missed(store: SqlStore, moves: StreamMoves) -> None:
    mark = (await moves.since(None)).mark
    seen: set[str] = set()

    async def write(number: int) -> None:
        for step in range(10):
            await record(store, direct(f"{number}-{step}", f"user-{number}-{step}"))

    writing = asyncio.gather(*(write(number) for number in range(3)))
    while not writing.done():
        answer = await moves.since(mark)
        mark = answer.mark
        assert answer.streams is not None
        seen |= answer.streams
    last = (await moves.since(mark)).streams
    assert last is not None
    assert seen | last == {f"inbox:user-{number}-{step}" for number in range(3) for step in range(10)}
