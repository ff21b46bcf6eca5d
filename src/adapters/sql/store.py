"""The store in a database: ingest writes to it, hubs read from it."""

import asyncio
from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import partial
from itertools import chain
from typing import Any, Final

import msgspec
from sqlalchemy import bindparam, select
from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.sql.batch_rows import Batch
from adapters.sql.database import Database
from adapters.sql.dialects.selection import delivery_writing_for, writing_for
from adapters.sql.queries import Queries, inboxes
from adapters.sql.recording import AlreadyStored, MissingCounters, Recording
from adapters.sql.store_requests import StoreRequests
from adapters.sql.stream_moves import StreamMoves
from adapters.sql.stream_pages import Pages
from adapters.sql.stream_row_mappings import BROADCAST, FEED_HEAD, INBOX_HEAD, NOTIFICATION, Broadcast
from adapters.sql.tables import StateRow
from application.ports.clock import IdFactory
from application.ports.store import Moved, Recorded, StoreUnavailable, StreamPage
from domain.notifications import Notification
from domain.plans import Plan
from domain.positions import Head
from domain.streams import Entry, StreamName, is_inbox, owner_of

_EMPTY: Final = Head()
_read_head: Final = INBOX_HEAD.reader(1)  # after the name of the stream

# Maximum number of sessions whose stream heads are read by one statement.
MAX_BATCH_SIZE: Final = 100

_READ_EPOCH: Final = select(StateRow.value).where(StateRow.name == "epoch")
_NOT_BEFORE: Final = select(inboxes.c.not_before).where(inboxes.c.user_id == bindparam("user"))


class SqlStore:
    """Implements the port Store. Each call of `record` is one transaction (see Recording). Concurrent reads are
    combined into one statement (see StoreRequests)."""

    def __init__(self, database: Database, ids: IdFactory) -> None:
        self._database = database
        self._ids = ids
        self._queries = Queries(database.is_postgresql)
        self._writing = writing_for(database)
        self._delivery_writing = delivery_writing_for(database)
        # Connecting clients use at most half of the connections, so that ingest can continue.
        slots = asyncio.Semaphore(max(1, database.connections // 2))
        queries, pages = self._queries, partial(Pages, database, slots, self._queries)
        self._arrivals = pages(queries.arrivals, INBOX_HEAD, NOTIFICATION, _arrival, _seq)
        self._changes = pages(queries.changes, INBOX_HEAD, NOTIFICATION, _current, _changed)
        self._broadcasts = pages(queries.broadcasts, FEED_HEAD, BROADCAST, _broadcast, _seq)
        self._heads = StoreRequests(self._query_heads, slots, max_batch=MAX_BATCH_SIZE)
        self._moves = StreamMoves(database)
        self._epochs = StoreRequests(self._query_epoch, slots, max_batch=MAX_BATCH_SIZE)
        self._epoch: str | None = None

    async def epoch(self) -> str:
        # Cached, because every session needs the epoch when it opens. It changes only while no node runs (`herald db
        # new-epoch`).
        if self._epoch is None:
            self._epoch = await self._epochs(None)
        return self._epoch

    async def record(self, plans: Sequence[Plan], now: datetime) -> Recorded:
        if not plans:
            return Recorded((), (), (), ())
        batch = Batch(plans)
        check_duplicates = self._writing.check_duplicates

        async def attempt(connection: AsyncConnection) -> Recorded:
            writing, deliveries = self._writing, self._delivery_writing
            return await Recording(self._queries, writing, deliveries, self._ids, batch, now, check_duplicates)(
                connection
            )

        while True:
            try:
                return await self._database.write(attempt)
            except AlreadyStored:
                check_duplicates = True
            except MissingCounters as missing:
                users, feeds = sorted(missing.users), sorted(missing.feeds)
                await self._database.write(partial(self._writing.open_streams, users=users, feeds=feeds))

    async def heads(self, streams: Iterable[StreamName]) -> dict[StreamName, Head]:
        names = tuple(streams)
        return await self._heads(names) if names else {}

    async def moved(self, since: str | None) -> Moved:
        return await self._moves.since(since)

    async def arrivals(self, stream: StreamName, after: int, limit: int) -> StreamPage:
        pages = self._arrivals if is_inbox(stream) else self._broadcasts
        return await pages(_owner(stream), after, limit)

    async def changes(self, stream: StreamName, after: int, limit: int) -> StreamPage:
        pages = self._changes if is_inbox(stream) else self._broadcasts
        page = await pages(_owner(stream), after, limit)
        return msgspec.structs.replace(page, seen=page.head.seen_between(stream, after, page.upto))

    async def not_before(self, user: str) -> datetime | None:
        not_before: datetime | None = await self._database.read(
            lambda connection: connection.scalar(_NOT_BEFORE, {"user": user})
        )
        return not_before

    async def ping(self) -> None:
        await self._database.ping()

    async def _query_epoch(self, wanted: Sequence[None]) -> Sequence[str]:
        return [await self._database.read(_read_epoch)] * len(wanted)

    async def _query_heads(self, wanted: Sequence[Sequence[StreamName]]) -> Sequence[dict[StreamName, Head]]:
        heads = dict.fromkeys(chain.from_iterable(wanted), _EMPTY)
        users = [owner_of(name) for name in heads if is_inbox(name)]
        feeds = [name.removeprefix("feed:") for name in heads if not is_inbox(name)]
        queries = self._queries
        statement: Any = queries.heads
        parameters = {"users": queries.list_parameter(users), "names": queries.list_parameter(feeds)}
        if not feeds:
            statement = queries.heads_of_inboxes
            del parameters["names"]
        elif not users:
            statement = queries.heads_of_feeds
            del parameters["users"]
        for row in await self._database.fetch(statement, parameters):
            heads[row.stream] = _read_head(row)
        return [{name: heads[name] for name in names} for names in wanted]


def _owner(stream: StreamName) -> str:
    return owner_of(stream) if is_inbox(stream) else stream.removeprefix("feed:")


def _arrival(notification: Notification, head: Head) -> Entry:
    return notification.entry(head, "arrival")


def _current(notification: Notification, head: Head) -> Entry:
    return notification.entry(head)


def _broadcast(broadcast: Broadcast, _: Head) -> Entry:
    return broadcast.entry()


def _seq(entry: Entry) -> int:
    return entry.seq


def _changed(entry: Entry) -> int:
    return entry.changed


async def _read_epoch(connection: AsyncConnection) -> str:
    epoch: str | None = await connection.scalar(_READ_EPOCH)
    if epoch is None:
        raise StoreUnavailable("the table store_state has no epoch: was the database created by `herald db upgrade`?")
    return epoch
