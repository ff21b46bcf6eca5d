"""The port for the store: stores the results of events, and reads streams with their positions, and sign-outs.

This port has what ingest and the hub need. What users and administrators need has ports of its own on the same
database: `inboxes`, `preferences`, `deliveries` and `dead_letters`; the deletion of old rows has `retention`.
"""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Protocol

import msgspec

from domain.deliveries import Delivery
from domain.plans import DeadLetter, Plan
from domain.positions import Head
from domain.streams import Entry, Seen, SignOut, StreamEntry, StreamName


class StoreUnavailable(Exception):
    """The store can't be reached or written now. Nothing was changed. The same call may succeed later."""


class StoreTimedOut(StoreUnavailable):
    """The call took too long for one transaction. Nothing was changed. Storing fewer plans at once, or a plan in parts,
    may succeed."""


class Unstorable(Exception):
    """A value can't be stored or searched for, because the database rejects it. Nothing was changed. Calling again with
    the same value fails again."""


class Recorded(msgspec.Struct, frozen=True):
    """The result of Store.record: what was new in a batch of plans.

    `entries`: the stored notifications and broadcasts; those of one stream in the order of their `seq`. `sign_outs`:
    those that are later than all earlier sign-outs of their user. `dead_letters` and `deliveries`: the newly stored
    ones. `repeated`: the plans that brought nothing new, because their events are duplicates.
    """

    entries: tuple[Entry, ...]
    sign_outs: tuple[SignOut, ...]
    dead_letters: tuple[DeadLetter, ...]
    repeated: tuple[Plan, ...]
    deliveries: tuple[Delivery, ...] = ()

    @property
    def duplicates(self) -> int:
        return len(self.repeated)


class StreamPage(msgspec.Struct, frozen=True):
    """The entries of a stream after the requested position, up to and including position `upto`. The next page is
    requested after `upto`.

    `head`: the head of the stream when the page was read. If there are no further entries, `upto` is the position of
    the head, or the requested position if that is greater. Entries of an inbox have the unread and unseen totals of
    that moment. `seen`: in a page of Store.changes, the entry about the watermark of the inbox, if its position is on
    this page; otherwise None.
    """

    entries: tuple[Entry, ...]
    upto: int
    head: Head
    seen: Seen | None = None

    @property
    def in_order(self) -> Sequence[StreamEntry]:
        """`entries` and `seen`, in the order of their positions. The page must be one of Store.changes."""
        if self.seen is None:
            return self.entries
        index = bisect_left(self.entries, self.seen.changed, key=lambda entry: entry.changed)
        return (*self.entries[:index], self.seen, *self.entries[index:])


class Moved(msgspec.Struct, frozen=True):
    """The result of Store.moved. `streams` has the names of all streams whose head, or whose user's latest sign-out,
    has changed between the two marks, and perhaps of others. It is None if the store does not know: because there was
    no mark yet, because the mark is too old, or because this store keeps no such record. `mark` is the mark to pass to
    the next call."""

    streams: frozenset[StreamName] | None
    mark: str | None


class Store(Protocol):
    """Stores the results of events, assigns positions to entries, and reads streams.

    Positions: each entry of a stream gets the next position (1, 2, 3 …, without gaps) in the transaction that stores
    it. So a reader that has read up to position n has missed nothing before n. A stream without entries has Head(0, 0).
    Uniqueness: an event, identified by its origin and id, is stored at most once in a stream, as at most one dead
    letter, and as at most one delivery to each destination of a channel. If Plan.by_source is set, events with the same
    origin and id from different sources are different events: the later one is stored with a changed origin
    (domain.event_identity).
    Preferences: a notification that its user does not want pushed is stored as `muted`; if the user has muted its type,
    also as read. A mail that its user does not want is stored as `skipped`.
    Errors: every method raises StoreUnavailable, having changed nothing.
    """

    async def epoch(self) -> str:
        """Returns the epoch: a random text that names the history of this store. A new store has a new one. An operator
        changes it after restoring a backup, because positions that clients have received since the backup are invalid.
        """

    async def record(self, plans: Sequence[Plan], now: datetime) -> Recorded:
        """Stores the notifications, broadcasts, deliveries, sign-outs and dead letters of the plans, in their order, in
        one transaction. Skips everything that is stored already, also by an earlier plan of the same call.

        Raises Unstorable if a value of any plan can't be stored, and StoreTimedOut if the transaction takes too long.
        In both cases, nothing was stored.
        """

    async def heads(self, streams: Iterable[StreamName]) -> dict[StreamName, Head]:
        """Returns the heads of the streams, keyed by stream, all read at the same moment."""

    async def moved(self, since: str | None) -> Moved:
        """Returns which streams have changed since the mark `since`, which an earlier call has returned; None at the
        first call."""

    async def arrivals(self, stream: StreamName, after: int, limit: int) -> StreamPage:
        """Returns at most `limit` entries that arrived after the position `after` (with a greater `seq`), in the order
        of `seq`. Archived notifications are included; the entry about the watermark is not."""

    async def changes(self, stream: StreamName, after: int, limit: int) -> StreamPage:
        """Returns the entries that arrived or changed after the position `after`, in the order of (changed, seq). A
        notification that changed several times is returned once, in its current state. If the watermark of the inbox
        was moved after the position, the last move is returned as `seen`.

        Returns about `limit` entries: a page never ends between two entries at the same position.
        """

    async def not_before(self, user: str) -> datetime | None:
        """Returns the time of the user's latest sign-out; None if there is none."""

    async def ping(self) -> None:
        """Checks that the store can be written now. Raises StoreUnavailable if it can't."""
