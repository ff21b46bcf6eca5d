"""The port for what Herald must not lose: inboxes, feeds, sign-outs, deliveries and dead letters, and the positions in
them.

This is what ingest and the hub need of it. Owners of inboxes have a port of their own (`inboxes`), and so have
preferences, deliveries, dead letters and retention: they are kept in the same place and bound by the same positions.
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
    """The store can't answer now: nothing was changed, and the same call may succeed later."""


class StoreTimedOut(StoreUnavailable):
    """The store could not do all of this in time: nothing was changed. A part of it may be possible."""


class Unstorable(Exception):
    """A value that can never be stored, nor searched for, however often it is tried: nothing was changed."""


class Recorded(msgspec.Struct, frozen=True):
    """What a batch of plans changed.

    `entries` are the new arrivals, those of one stream in the order of their seq. `sign_outs` are those that moved a
    user's `not_before`, `dead_letters` and `deliveries` the new ones. `repeated` are the plans of which everything was
    there already.
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
    """A stretch of a stream: everything after where it was asked from, up to position `upto`.

    `head` is the stream's as of the same moment. A page with fewer entries than its limit goes up to `head.last`,
    whatever its last row is; one that begins at or beyond the head is empty, and goes up to where it began. Entries of
    an inbox carry its unread total as of the head.
    """

    entries: tuple[Entry, ...]
    upto: int
    head: Head


class Store(Protocol):
    """For keeping, numbering and reading back what events led to.

    Positions: everything that happens to a stream takes its next position, 1, 2, 3 …, without gaps, given in the
    transaction that stores it; so a reader that has seen position n will never be surprised by a smaller one. A
    stream that was never written has Head(0, 0). Once: a stream holds an event, identified by (origin, event id), at
    most once, and there is one dead letter of it at most, and one delivery to each address. Where an event of another
    source holds that identity and the plan is `by_source`, the event is stored under its qualified origin, once.
    Preferences bind: a notification of a type that its user has muted is stored as `muted` and read, with
    `websocket_notifications` switched off as `muted` and unread, a mail that its user does not want as `skipped`. Every
    method raises StoreUnavailable, having changed nothing, when the store can't be reached or can't be written.
    """

    async def epoch(self) -> str:
        """The random name of this history. It changes when positions lose their meaning: a new store, or one restored
        from a backup."""

    async def record(self, plans: Sequence[Plan], now: datetime) -> Recorded:
        """Stores all that the plans lead to, in their order, in one transaction. Whatever is there already, from
        before or from earlier in the batch, is ignored and takes no position. Raises Unstorable, having changed
        nothing, if a value of any of them can't be stored, and StoreTimedOut if all of them take too long."""

    async def heads(self, streams: Iterable[StreamName]) -> dict[StreamName, Head]:
        """The heads of all the streams asked for, as of one moment."""

    async def arrivals(self, stream: StreamName, after: int, limit: int) -> StreamPage:
        """Arrivals with seq > after, by seq, about `limit` of them. What was archived since is among them."""

    async def changes(self, stream: StreamName, after: int, limit: int) -> StreamPage:
        """What has changed since a position, each notification once and as it stands, by (changed, seq); about
        `limit` of them. Never ends inside a position."""

    async def not_before(self, user: str) -> datetime | None:
        """The user's latest sign-out."""

    async def ping(self) -> None:
        """Returns if the store could take a write now."""
