"""The port for the durable state of Herald: inboxes, feeds, sign-outs, deliveries and dead letters, and the positions
in streams.

This is the part that ingest and the hub need. There are separate ports for what users and administrators do with
inboxes (`inboxes`), preferences, deliveries and dead letters, and for retention. They use the same database and the
same positions.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Protocol

import msgspec

from domain.deliveries import Delivery
from domain.planning import DeadLetter, Plan
from domain.positions import Head
from domain.streams import Entry, SignOut, StreamName


class StoreUnavailable(Exception):
    """The store is unavailable. Nothing was changed, and the same call may succeed later."""


class StoreTimedOut(StoreUnavailable):
    """The call took too long. Nothing was changed; a call with fewer plans, or a part of the plan, may succeed."""


class Unstorable(Exception):
    """A value can never be stored or searched for, so a retry is useless. Nothing was changed."""


class Recorded(msgspec.Struct, frozen=True):
    """What a batch of plans changed.

    `entries` are the new arrivals, those of one stream in the order of their `seq`. `sign_outs` are those that moved a
    user's `not_before`. `dead_letters` and `deliveries` are the new ones. `repeated` are the plans whose results had
    all been stored before.
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
    """A page of a stream: everything after the requested position, up to position `upto`.

    `head` is the head of the stream at the same moment. A page with fewer entries than its limit extends to
    `head.last`, whatever its last entry is; a page from the head or beyond is empty, and `upto` is the requested
    position. Entries of an inbox carry its unread total at the head.
    """

    entries: tuple[Entry, ...]
    upto: int
    head: Head


class Store(Protocol):
    """Stores the results of events, assigns their positions, and reads them.

    Positions: every entry of a stream gets its next position, 1, 2, 3 …, without gaps, assigned in the storing
    transaction. So a reader that has seen position n will not see a new entry at a smaller one. A stream that was never
    written has Head(0, 0).
    Uniqueness: a stream has an event, identified by (origin, event id), at most once. An event has at most one dead
    letter, and at most one delivery to each address. If an event of another source has the same identity and the plan
    is `by_source`, the event is stored once, under its qualified origin.
    Preferences: a notification of a type that its user has muted is stored as `muted` and read; with
    `websocket_notifications` off, as `muted` and unread; a mail that its user does not want is stored as `skipped`.
    Errors: every method raises StoreUnavailable, having changed nothing, if the store can't be reached or written.
    """

    async def epoch(self) -> str:
        """Returns the epoch: a random text that identifies the history of this store. It changes when positions become
        invalid: in a new store, or one restored from a backup."""

    async def record(self, plans: Sequence[Plan], now: datetime) -> Recorded:
        """Stores the results of the plans, in their order, in one transaction. Results that exist already, from before
        or from earlier in the batch, are ignored and get no position. Raises Unstorable, having changed nothing, if a
        value of any plan can't be stored, and StoreTimedOut if the plans together take too long."""

    async def heads(self, streams: Iterable[StreamName]) -> dict[StreamName, Head]:
        """Returns the heads of all requested streams, at one moment."""

    async def arrivals(self, stream: StreamName, after: int, limit: int) -> StreamPage:
        """Returns about `limit` arrivals with seq > `after`, by seq, including those that were archived since."""

    async def changes(self, stream: StreamName, after: int, limit: int) -> StreamPage:
        """Returns about `limit` entries that have changed since position `after`, each notification once in its current
        state, by (changed, seq). A page never ends between two entries of one position."""

    async def not_before(self, user: str) -> datetime | None:
        """Returns the time of the user's latest sign-out; None if there is none."""

    async def ping(self) -> None:
        """Does nothing if the store can be written now. Raises StoreUnavailable otherwise."""
