"""The store: what ingest writes and hubs read."""

import asyncio
from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import partial
from typing import Any, Final

from sqlalchemy import Row, Select, bindparam, select
from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.sql import rows
from adapters.sql.batch import Batch
from adapters.sql.database import Database
from adapters.sql.faults import Refused
from adapters.sql.postgresql import PostgresqlWriting
from adapters.sql.queries import Queries, inboxes
from adapters.sql.recording import KnownAlready, NotOpened, Recording
from adapters.sql.sqlite import SqliteWriting
from adapters.sql.tables import StateRow
from adapters.sql.writing import Writing
from application.ports.clock import IdFactory
from application.ports.store import Page, Recorded, StoreUnavailable
from domain.planning import Plan, refused
from domain.positions import Head
from domain.streams import StreamName, is_inbox, owner_of

_EMPTY: Final = Head()
_READ_EPOCH: Final = select(StateRow.value).where(StateRow.name == "epoch")
_NOT_BEFORE: Final = select(inboxes.c.not_before).where(inboxes.c.user_id == bindparam("user"))


class SqlStore:
    """Implements Store. A batch is one transaction (see Recording), and a page one statement."""

    def __init__(self, database: Database, ids: IdFactory) -> None:
        self._database = database
        self._ids = ids
        self._queries = Queries(database.is_postgresql)
        self._writing: Writing = PostgresqlWriting() if database.is_postgresql else SqliteWriting()
        self._epoch: str | None = None
        self._asking = asyncio.Lock()

    async def epoch(self) -> str:
        # Asked by every session that opens, and read once: it changes only while no node runs (`herald db new-epoch`).
        async with self._asking:
            if self._epoch is None:
                self._epoch = await self._database.read(_read_epoch)
            return self._epoch

    async def record(self, plans: Sequence[Plan], now: datetime) -> Recorded:
        if not plans:
            return Recorded((), (), (), 0)
        try:
            return await self._record(plans, now)
        except Refused:
            faults = await self._faults(plans, now)
        plans = [refused(plan, faults[number]) if number in faults else plan for number, plan in enumerate(plans)]
        return await self._record(plans, now)

    async def heads(self, streams: Iterable[StreamName]) -> dict[StreamName, Head]:
        heads = dict.fromkeys(streams, _EMPTY)
        users = [owner_of(name) for name in heads if is_inbox(name)]
        feeds = [name.removeprefix("feed:") for name in heads if not is_inbox(name)]
        queries = self._queries
        statement: Any = queries.heads
        parameters = {"users": queries.many(users), "names": queries.many(feeds)}
        if not feeds:
            statement = queries.heads_of_inboxes
            del parameters["names"]
        elif not users:
            statement = queries.heads_of_feeds
            del parameters["users"]
        if heads:
            found = await self._read(statement, parameters)
            for stream, last, pruned, not_before, unread in found:
                heads[stream] = Head(last, pruned, not_before, unread)
        return heads

    async def arrivals(self, stream: StreamName, after: int, limit: int) -> Page:
        if not is_inbox(stream):
            return await self._broadcasts(stream, after, limit)
        found = await self._page(self._queries.arrivals, owner_of(stream), after, limit)
        if not found:
            return Page((), after, _EMPTY)
        head = rows.head(found[0][:4])
        entries = tuple(rows.notification(row[4:]).entry(head.unread, "arrival") for row in found if row[4] is not None)
        upto = entries[-1].seq if len(entries) >= limit else max(after, head.last)
        return Page(entries, upto, head)

    async def changes(self, stream: StreamName, after: int, limit: int) -> Page:
        if not is_inbox(stream):
            return await self._broadcasts(stream, after, limit)
        found = await self._page(self._queries.changes, owner_of(stream), after, limit)
        if not found:
            return Page((), after, _EMPTY)
        head = rows.head(found[0][:4])
        entries = tuple(rows.notification(row[4:]).entry(head.unread) for row in found if row[4] is not None)
        upto = entries[-1].changed if len(entries) >= limit else max(after, head.last)
        return Page(entries, upto, head)

    async def not_before(self, user: str) -> datetime | None:
        found: datetime | None = await self._database.read(
            lambda connection: connection.scalar(_NOT_BEFORE, {"user": user})
        )
        return found

    async def ping(self) -> None:
        await self._database.ping()

    async def _broadcasts(self, stream: StreamName, after: int, limit: int) -> Page:
        found = await self._page(self._queries.broadcasts, stream.removeprefix("feed:"), after, limit)
        if not found:
            return Page((), after, _EMPTY)
        head = rows.head(found[0][:2])
        entries = tuple(rows.broadcast(row[2:]) for row in found if row[2] is not None)
        upto = entries[-1].seq if len(entries) >= limit else max(after, head.last)
        return Page(entries, upto, head)

    async def _page(self, statement: Select[Any], owner: str, after: int, limit: int) -> Sequence[Row[Any]]:
        return await self._read(statement, {"owner": owner, "after": after, "limit": limit})

    async def _read(self, statement: Any, parameters: dict[str, Any]) -> Sequence[Row[Any]]:
        async def ask(connection: AsyncConnection) -> Sequence[Row[Any]]:
            return (await connection.execute(statement, parameters)).all()

        return await self._database.read(ask)

    async def _record(self, plans: Sequence[Plan], now: datetime, *, rehearsal: bool = False) -> Recorded:
        batch = Batch(plans)
        careful = self._writing.careful
        while True:
            recording = Recording(self._queries, self._writing, self._ids, batch, now, careful)
            try:
                return await self._database.write(recording, undo=rehearsal)
            except KnownAlready:
                careful = True
            except NotOpened as missing:
                users, feeds = sorted(missing.users), sorted(missing.feeds)
                await self._database.write(partial(self._writing.open_streams, users=users, feeds=feeds))

    async def _faults(self, plans: Sequence[Plan], now: datetime) -> dict[int, str]:
        """Which of the plans the database refuses, and why: found by halves, each tried and undone."""
        try:
            await self._record(plans, now, rehearsal=True)
        except Refused as fault:
            if len(plans) == 1:
                return {0: str(fault)}
        else:
            return {}
        middle = len(plans) // 2
        faults = await self._faults(plans[:middle], now)
        for number, words in (await self._faults(plans[middle:], now)).items():
            faults[middle + number] = words
        return faults


async def _read_epoch(connection: AsyncConnection) -> str:
    found: str | None = await connection.scalar(_READ_EPOCH)
    if found is None:
        raise StoreUnavailable("the database has no epoch: has it been upgraded?")
    return found
