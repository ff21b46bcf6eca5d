"""Recording: one batch in one transaction.

lock the inboxes, in the order of their names    whoever else wants them waits, and nobody waits in a circle
number and add the notifications                 from the locked counters on, so without gaps
keep the dead letters, add the deliveries        in the order of their identities
lock the feeds, number and add the broadcasts    last, since every node wants these rows
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Literal
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.sql.batch import Arrivals, Batch, Counter, Part, mail_key
from adapters.sql.delivery_writing import DeliveryWriting
from adapters.sql.queries import Queries
from adapters.sql.writing import Writing
from application.ports.clock import IdFactory
from application.ports.store import Recorded
from domain.deliveries import Delivery, first_status
from domain.planning import DeadLetter
from domain.preferences import DEFAULT, Preferences
from domain.streams import Entry, SignOut, StreamName, feed, inbox_of


class KnownAlready(Exception):
    """Some of the batch is stored already: it has to be looked up before it is numbered."""


class NotOpened(Exception):
    """Some streams have no counters yet. They are made in a transaction of their own, so that locks are only ever
    taken in the order of names."""

    def __init__(self, users: Sequence[str] = (), feeds: Sequence[str] = ()) -> None:
        self.users = users
        self.feeds = feeds


class Recording:
    """One attempt, to be called once. It takes for granted that nothing of the batch is stored already, unless it is
    `careful`: a repeated batch is rare, and looking up each row costs as much as storing it."""

    def __init__(
        self,
        queries: Queries,
        writing: Writing,
        delivery_writing: DeliveryWriting,
        ids: IdFactory,
        batch: Batch,
        now: datetime,
        careful: bool,
    ) -> None:
        self._queries = queries
        self._writing = writing
        self._delivery_writing = delivery_writing
        self._ids = ids
        self._batch = batch
        self._now = now
        self._careful = careful
        self._entries: list[Entry] = []
        self._new: set[int] = set()  # the plans that led to something new

    async def __call__(self, connection: AsyncConnection) -> Recorded:
        sign_outs: tuple[SignOut, ...] = ()
        if users := self._batch.users:
            counters = await self._lock_inboxes(connection, users)
            sign_outs = self._sign_out(counters)
            await self._add_notifications(connection, counters)
        letters = await self._keep_letters(connection)
        deliveries = await self._add_deliveries(connection)
        if self._batch.feeds.rows:
            await self._add_broadcasts(connection)
        duplicates = len(self._batch.intended - self._new)
        return Recorded(tuple(self._entries), sign_outs, letters, duplicates, deliveries)

    async def _lock_inboxes(self, connection: AsyncConnection, users: list[str]) -> dict[str, Counter]:
        found = await connection.execute(self._queries.lock_inboxes, {"users": self._queries.many(users)})
        counters = {}
        for user, last, unread, not_before, websocket, muted in found:
            preferences = DEFAULT
            if muted is not None:
                preferences = Preferences(websocket_notifications=websocket, muted_types=tuple(muted))
            counters[user] = Counter(user, last, unread, not_before=not_before, preferences=preferences)
        if len(counters) < len(users):
            raise NotOpened(users=[user for user in users if user not in counters])
        return counters

    def _sign_out(self, counters: dict[str, Counter]) -> tuple[SignOut, ...]:
        moved = []
        for sign_out, plan in self._batch.sign_outs:
            counter = counters[sign_out.user]
            if counter.not_before is None or counter.not_before < sign_out.not_before:
                counter.not_before = sign_out.not_before
                moved.append(sign_out)
                self._new.add(plan)
        return tuple(moved)

    async def _add_notifications(self, connection: AsyncConnection, counters: dict[str, Counter]) -> None:
        known = await self._known(connection, "user", self._batch.inboxes)
        arrivals = self._number(self._batch.inboxes, counters, known, inbox_of)
        added = await self._writing.add_notifications(connection, arrivals, list(counters.values()), self._now)
        if added < len(arrivals.ids):
            raise KnownAlready

    async def _add_broadcasts(self, connection: AsyncConnection) -> None:
        feeds = self._batch.feeds.names
        found = await connection.execute(self._queries.lock_feeds, {"names": self._queries.many(feeds)})
        counters = {row.name: Counter(row.name, row.last_seq) for row in found}
        if len(counters) < len(feeds):
            raise NotOpened(feeds=[name for name in feeds if name not in counters])
        known = await self._known(connection, "feed", self._batch.feeds)
        arrivals = self._number(self._batch.feeds, counters, known, feed)
        added = await self._writing.add_broadcasts(connection, arrivals, list(counters.values()), self._now)
        if added < len(arrivals.ids):
            raise KnownAlready

    async def _known(
        self, connection: AsyncConnection, kind: Literal["user", "feed"], part: Part
    ) -> set[tuple[str, str, str]]:
        if not self._careful or not part.rows:
            return set()
        return await self._writing.known(connection, kind, part.keys)

    def _number(
        self,
        part: Part,
        counters: dict[str, Counter],
        known: set[tuple[str, str, str]],
        stream_of: Callable[[str], StreamName],
    ) -> Arrivals:
        contents = part.contents
        arrivals = Arrivals(contents)
        for name, index, plan in part.rows:
            content = contents[index]
            if known and (name, content.origin, content.event_id) in known:
                continue
            counter = counters[name]
            counter.last += 1
            counter.unread += 1
            counter.added += 1
            seq = counter.last
            muted = counter.preferences is not DEFAULT and counter.preferences.mutes(content.type)
            id_ = self._ids.new_id()
            arrivals.add(index + 1, id_, name, seq, muted)
            unread = counter.unread if stream_of is inbox_of else 0
            entry = Entry(stream_of(name), seq, seq, id_, content, self._now, muted=muted, unread=unread)
            self._entries.append(entry)
            self._new.add(plan)
        return arrivals

    async def _keep_letters(self, connection: AsyncConnection) -> tuple[DeadLetter, ...]:
        if not self._batch.letters:
            return ()
        new = await self._writing.keep_letters(connection, self._batch.letters, self._ids, self._now)
        fresh = [letter for key, letter in self._batch.letters.items() if key in new]
        self._new.update(one.plan for one in fresh)
        return tuple(one.letter for one in fresh)

    async def _add_deliveries(self, connection: AsyncConnection) -> tuple[Delivery, ...]:
        """In one order on every node, so that none waits for another in a circle; the ids keep the order of coming."""
        mails = self._batch.mails
        if not mails:
            return ()
        preferences = await self._mail_preferences(connection)
        made: dict[UUID, tuple[Delivery, int]] = {}
        for addressee, plan in mails.values():
            mail, id_ = addressee.mail, self._ids.new_id()
            status, error = first_status(addressee, preferences.get(mail.user or "", DEFAULT))
            now = self._now
            made[id_] = Delivery(id_, mail, addressee.address, status, error, now, now, now), plan
        in_order = sorted((one for one, _ in made.values()), key=mail_key)
        new = await self._delivery_writing.add(connection, in_order)
        self._new.update(plan for id_, (_, plan) in made.items() if id_ in new)
        return tuple(one for id_, (one, _) in made.items() if id_ in new)

    async def _mail_preferences(self, connection: AsyncConnection) -> dict[str, Preferences]:
        users = sorted({one.mail.user for one, _ in self._batch.mails.values() if one.mail.user is not None})
        if not users:
            return {}
        found = await connection.execute(self._queries.mail_preferences, {"users": self._queries.many(users)})
        return {user: Preferences(email_notifications=email, muted_types=tuple(muted)) for user, email, muted in found}
