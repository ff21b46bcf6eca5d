"""A recording stores the results of a batch of plans in one transaction, in these steps:

1. Lock the inboxes in the order of the users, so that concurrent recordings can't deadlock.
2. Insert the notifications. Their positions continue from the locked counters, so they have no gaps.
3. Store the dead letters and deliveries, each in sorted order, so that concurrent recordings can't deadlock.
4. Lock the feeds and insert the broadcasts. Last, because all nodes write to the same few feeds, and the locks are held
until the commit.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final, Literal, TypeAlias
from uuid import UUID

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.sql.batch_rows import Arrivals, Batch, Counter, StreamRows
from adapters.sql.delivery_rows import delivery_preferences
from adapters.sql.dialects.dialect import DeliveryWriting, Writing
from adapters.sql.letters_and_deliveries import add_deliveries, store_dead_letters
from adapters.sql.queries import Queries
from adapters.sql.seen_columns import recount
from adapters.sql.stream_row_mappings import FEED_COUNTER, INBOX_COUNTER
from application.delivery.send_decision import new_delivery
from application.ports.clock import IdFactory
from application.ports.store import Recorded
from domain.deliveries import Delivery
from domain.event_identity import find_origin, qualified_origin
from domain.notification_state import state_on_arrival
from domain.plans import DeadLetter
from domain.preferences import DEFAULT, Preferences
from domain.streams import Entry, SignOut, StreamName, feed_stream, inbox_of

_read_inbox_counter: Final = INBOX_COUNTER.reader()
_read_feed_counter: Final = FEED_COUNTER.reader()

# The source of each stored row, by user or feed, origin and event id.
Known: TypeAlias = dict[tuple[str, str, str], str]


class AlreadyStored(Exception):
    """A part of the batch is already stored, and the recording did not look for duplicates. The transaction is rolled
    back. The caller must repeat the recording with `check_duplicates`."""


class MissingCounters(Exception):
    """Some users or feeds have no counters yet (last position, unread notifications …), because they have no row in
    `inboxes` or `feeds`. The transaction is rolled back. The caller must insert these rows in a separate transaction,
    and repeat the recording."""

    def __init__(self, users: Sequence[str] = (), feeds: Sequence[str] = ()) -> None:
        self.users = users
        self.feeds = feeds


class Recording:
    """Stores one batch in one transaction. An object is called once; SqlStore makes a new one for each attempt.

    With `check_duplicates`, looks up which notifications and broadcasts are stored already, and skips them. Without,
    assumes that none is, which saves the lookup, and raises AlreadyStored if the assumption was wrong.
    """

    def __init__(
        self,
        queries: Queries,
        writing: Writing,
        delivery_writing: DeliveryWriting,
        ids: IdFactory,
        batch: Batch,
        now: datetime,
        check_duplicates: bool,
    ) -> None:
        self._queries = queries
        self._writing = writing
        self._delivery_writing = delivery_writing
        self._ids = ids
        self._batch = batch
        self._now = now
        # On PostgreSQL, False at first: repeated batches are rare, and looking up a row costs as much as storing it.
        self._careful = check_duplicates
        self._entries: list[Entry] = []
        self._new: set[int] = set()  # indexes of the plans that led to something new

    async def __call__(self, connection: AsyncConnection) -> Recorded:
        """Stores the batch in the current transaction of `connection`, and returns what was new. Raises AlreadyStored
        and MissingCounters."""
        sign_outs: tuple[SignOut, ...] = ()
        if users := self._batch.users:
            counters = await self._lock_inboxes(connection, users)
            sign_outs = self._sign_out(counters)
            await self._add_notifications(connection, counters)
        letters = await self._store_dead_letters(connection)
        deliveries = await self._add_deliveries(connection)
        if self._batch.feeds.rows:
            await self._add_broadcasts(connection)
        repeated = tuple(self._batch.plans[number] for number in sorted(self._batch.intended - self._new))
        return Recorded(tuple(self._entries), sign_outs, letters, repeated, deliveries)

    async def _lock_inboxes(self, connection: AsyncConnection, users: list[str]) -> dict[str, Counter]:
        """Locks the rows of these users in `inboxes`, and returns the counters by user, with those preferences that
        affect arriving notifications. Raises MissingCounters."""
        rows = await connection.execute(self._queries.lock_inboxes, {"users": self._queries.list_parameter(users)})
        counters: dict[str, Counter] = {}
        outdated: list[str] = []
        for row in rows:
            counter = _read_inbox_counter(row)
            counters[counter.name] = counter
            if row.is_outdated:
                outdated.append(counter.name)
            if (muted_types := row.muted_types) is not None:
                counter.preferences = Preferences(
                    websocket_notifications=row.websocket_notifications, muted_types=tuple(muted_types)
                )
        if len(counters) < len(users):
            # Not inserted in this transaction: that would lock them out of the order of users.
            raise MissingCounters(users=[user for user in users if user not in counters])
        for user, count in (await recount(connection, outdated)).items():
            counters[user].seen_unread = count
        return counters

    def _sign_out(self, counters: dict[str, Counter]) -> tuple[SignOut, ...]:
        """Applies the batch's sign-outs to `Counter.not_before`, the time of the user's latest sign-out. Returns the
        sign-outs that are later than the user's latest one so far."""
        moved = []
        for sign_out, plan in self._batch.sign_outs:
            counter = counters[sign_out.user]
            if counter.not_before is None or counter.not_before < sign_out.not_before:
                counter.not_before = sign_out.not_before
                moved.append(sign_out)
                self._new.add(plan)
        return tuple(moved)

    async def _add_notifications(self, connection: AsyncConnection, counters: dict[str, Counter]) -> None:
        known = await self._find_stored(connection, "user", self._batch.inboxes, counters)
        arrivals = self._assign_positions(self._batch.inboxes, counters, known, inbox_of)
        added = await self._writing.add_notifications(connection, arrivals, list(counters.values()), self._now)
        if added < len(arrivals.ids):
            raise AlreadyStored

    async def _add_broadcasts(self, connection: AsyncConnection) -> None:
        feeds = self._batch.feeds.names
        rows = await connection.execute(self._queries.lock_feeds, {"names": self._queries.list_parameter(feeds)})
        counters = {counter.name: counter for counter in map(_read_feed_counter, rows)}
        if len(counters) < len(feeds):
            raise MissingCounters(feeds=[name for name in feeds if name not in counters])
        known = await self._find_stored(connection, "feed", self._batch.feeds, counters)
        arrivals = self._assign_positions(self._batch.feeds, counters, known, feed_stream)
        added = await self._writing.add_broadcasts(connection, arrivals, list(counters.values()), self._now)
        if added < len(arrivals.ids):
            raise AlreadyStored

    async def _find_stored(
        self, connection: AsyncConnection, kind: Literal["user", "feed"], part: StreamRows, counters: dict[str, Counter]
    ) -> Known | None:
        """Looks up the stored entries that the rows of `part` may be duplicates of. Returns their sources by key: user
        or feed, origin, event id. Returns None if no comparison is needed, because all rows can be treated as new."""
        qualified = {name for name, counter in counters.items() if counter.has_qualified}
        keys = part.keys(counters if self._careful else qualified, lambda content: content.origin)
        if qualified:
            keys += part.keys(qualified, lambda content: qualified_origin(content.origin, content.source))
        if keys:
            return await self._writing.entry_sources(connection, kind, keys)
        return {} if part.contested else None

    def _assign_positions(
        self,
        part: StreamRows,
        counters: dict[str, Counter],
        known: Known | None,
        stream_of: Callable[[str], StreamName],
    ) -> Arrivals:
        """Assigns the next positions of the streams to the rows whose event is not stored yet, and updates the
        counters. Returns these rows, to be inserted. `known` is the result of `_find_stored`."""
        arrivals = Arrivals(part.contents)
        for name, given, plan in part.rows:
            counter = counters[name]
            index: int | None = given
            if known is not None:
                index = self._index_to_store(arrivals, given, plan, counter, known)
            if index is None:
                continue
            content = arrivals.contents[index]
            counter.last += 1
            state = state_on_arrival(counter.preferences, content.type, self._now)
            counter.unread += state.unread
            counter.added += 1
            seq = counter.last
            id_ = self._ids.new_id()
            arrivals.add(index + 1, id_, name, seq, state)
            entry = Entry(stream_of(name), seq, seq, id_, content, self._now, "arrival", state.read, state.muted)
            if stream_of is inbox_of:
                # The notification arrives after the watermark.
                unseen = counter.unread - counter.seen_unread
                entry = msgspec.structs.replace(entry, unread=counter.unread, unseen=unseen)
            self._entries.append(entry)
            self._new.add(plan)
        return arrivals

    def _index_to_store(self, arrivals: Arrivals, index: int, plan: int, counter: Counter, known: Known) -> int | None:
        """Returns the index in `arrivals.contents` of the content to store: `index`, or that of a copy under the
        qualified origin. Returns None if the event is already stored in the stream."""
        content = arrivals.contents[index]
        name, id_, source = counter.name, content.event_id, content.source
        origin, is_known = find_origin(
            content.origin, source, self._batch.plans[plan].by_source, lambda origin: known.get((name, origin, id_))
        )
        if is_known:
            return None
        known[name, origin, id_] = source
        if origin == content.origin:
            return index
        counter.qualified = counter.last + 1
        return arrivals.qualified(index)

    async def _store_dead_letters(self, connection: AsyncConnection) -> tuple[DeadLetter, ...]:
        if not self._batch.letters:
            return ()
        new = await store_dead_letters(connection, self._writing, self._batch.letters.values(), self._ids, self._now)
        self._new.update(one.plan for one in new)
        return tuple(one.letter for one in new)

    async def _add_deliveries(self, connection: AsyncConnection) -> tuple[Delivery, ...]:
        """Stores the deliveries of the batch, and returns the new ones. Their ids ascend in the order of the batch."""
        batched = self._batch.deliveries
        if not batched:
            return ()
        preferences = await self._delivery_preferences(connection)
        made: dict[UUID, tuple[Delivery, int]] = {}
        by_source: set[UUID] = set()
        for one in batched.values():
            id_ = self._ids.new_id()
            of_user = preferences.get(one.planned.user or "", DEFAULT)
            made[id_] = new_delivery(one.planned, id_, of_user, self._now), one.plan
            if one.by_source:
                by_source.add(id_)
        all_made = [delivery for delivery, _ in made.values()]
        added = await add_deliveries(connection, self._delivery_writing, all_made, by_source)
        self._new.update(plan for id_, (_, plan) in made.items() if id_ in added)
        return tuple(added[id_] for id_ in made if id_ in added)

    async def _delivery_preferences(self, connection: AsyncConnection) -> dict[str, Preferences]:
        planned = (one.planned for one in self._batch.deliveries.values())
        users = sorted({one.user for one in planned if one.user is not None})
        if not users:
            return {}
        found = await connection.execute(
            self._queries.delivery_preferences, {"users": self._queries.list_parameter(users)}
        )
        return {row.user_id: delivery_preferences(row) for row in found}
