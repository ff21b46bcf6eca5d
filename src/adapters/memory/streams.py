"""Streams in memory: a feed's broadcasts, and an inbox's notifications with all that happened to them."""

from bisect import bisect_left
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from domain.notifications import Mark, Notification
from domain.streams import Entry


class Feed:
    """The broadcasts kept, by seq. `seqs` are their keys, sorted; `events` the origin and id
    of what they were made of, with its source."""

    __slots__ = ("broadcasts", "events", "last", "pruned", "seqs")

    unread = 0

    def __init__(self) -> None:
        self.last = 0
        self.pruned = 0
        self.seqs: list[int] = []
        self.events: dict[tuple[str, str], str] = {}
        self.broadcasts: dict[int, Entry] = {}

    def append(self, broadcast: Entry) -> None:
        self.last = broadcast.seq
        self.seqs.append(broadcast.seq)
        self.broadcasts[broadcast.seq] = broadcast

    def entry(self, seq: int) -> Entry:
        return self.broadcasts[seq]

    def prune(self) -> Entry:
        """Lets the oldest go, and returns it."""
        self.pruned = self.seqs.pop(0)
        return self.broadcasts.pop(self.pruned)


class Inbox:
    """The notifications kept, by seq. `seqs` are their keys, sorted, and `changes` their (changed, seq), sorted too;
    `unread` counts those that are neither read nor archived. `events` as in a feed."""

    __slots__ = ("changes", "events", "ids", "last", "notifications", "pruned", "seqs", "unread")

    def __init__(self) -> None:
        self.last = 0
        self.pruned = 0
        self.unread = 0
        self.seqs: list[int] = []
        self.changes: list[tuple[int, int]] = []
        self.events: dict[tuple[str, str], str] = {}
        self.notifications: dict[int, Notification] = {}
        self.ids: dict[UUID, int] = {}

    def append(self, arrival: Notification) -> None:
        self.last = arrival.seq
        self.unread += arrival.unread
        self.seqs.append(arrival.seq)
        self.changes.append((arrival.changed, arrival.seq))
        self.notifications[arrival.seq] = arrival
        self.ids[arrival.id] = arrival.seq

    def entry(self, seq: int) -> Entry:
        """Its arrival, whatever has happened to it since."""
        return self.notifications[seq].entry(self.unread, "arrival")

    def mark(self, seqs: Sequence[int], mark: Mark, now: datetime) -> tuple[Entry, ...]:
        """Marks those that are not so marked, all at one position; `seqs` ascend. Returns what has changed."""
        before = [self.notifications[seq] for seq in seqs]
        after = [marked for one in before if (marked := one.marked(mark, self.last + 1, now)) is not None]
        if after:
            self.last += 1
        for one in after:
            known = self.notifications[one.seq]
            self.unread += one.unread - known.unread
            del self.changes[bisect_left(self.changes, (known.changed, one.seq))]
            self.changes.append((one.changed, one.seq))
            self.notifications[one.seq] = one
        return tuple(one.entry(self.unread, mark) for one in after)

    def prune(self) -> Entry:
        """Lets the oldest go, and returns it."""
        self.pruned = self.seqs.pop(0)
        gone = self.notifications.pop(self.pruned)
        self.unread -= gone.unread
        del self.changes[bisect_left(self.changes, (gone.changed, gone.seq))]
        del self.ids[gone.id]
        return gone.entry(self.unread)
