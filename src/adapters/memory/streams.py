"""Streams in memory: a feed's broadcasts, and an inbox's notifications with all that happened to them."""

from bisect import bisect_left
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from domain.notifications import Mark, Notification
from domain.streams import Entry


class Feed:
    """The broadcasts kept, by seq. `seqs` are their keys, sorted; `events` what they were made of."""

    __slots__ = ("broadcasts", "events", "last", "pruned", "seqs")

    unread = 0

    def __init__(self) -> None:
        self.last = 0
        self.pruned = 0
        self.seqs: list[int] = []
        self.events: set[tuple[str, str]] = set()
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
    `unread` counts those that are neither read nor archived."""

    __slots__ = ("changes", "events", "ids", "last", "notifications", "pruned", "seqs", "unread")

    def __init__(self) -> None:
        self.last = 0
        self.pruned = 0
        self.unread = 0
        self.seqs: list[int] = []
        self.changes: list[tuple[int, int]] = []
        self.events: set[tuple[str, str]] = set()
        self.notifications: dict[int, Notification] = {}
        self.ids: dict[UUID, int] = {}

    def append(self, arrival: Notification) -> None:
        self.last = arrival.seq
        self.unread += 1
        self.seqs.append(arrival.seq)
        self.changes.append((arrival.changed, arrival.seq))
        self.notifications[arrival.seq] = arrival
        self.ids[arrival.id] = arrival.seq

    def entry(self, seq: int) -> Entry:
        """Its arrival, whatever has happened to it since."""
        return self.notifications[seq].entry(self.unread, "arrival")

    def mark(self, seqs: Sequence[int], mark: Mark, now: datetime) -> tuple[Entry, ...]:
        """Marks those that are not so marked, all at one position; `seqs` ascend. Returns what has changed."""
        seqs = [seq for seq in seqs if _is_news(self.notifications[seq], mark)]
        if not seqs:
            return ()
        self.last += 1
        for seq in seqs:
            before = self.notifications[seq]
            after = self.notifications[seq] = _marked(before, mark, self.last, now)
            self.unread += _is_unread(after) - _is_unread(before)
            del self.changes[bisect_left(self.changes, (before.changed, seq))]
            self.changes.append((after.changed, seq))
        return tuple(self.notifications[seq].entry(self.unread, mark) for seq in seqs)

    def prune(self) -> Entry:
        """Lets the oldest go, and returns it."""
        self.pruned = self.seqs.pop(0)
        gone = self.notifications.pop(self.pruned)
        self.unread -= _is_unread(gone)
        del self.changes[bisect_left(self.changes, (gone.changed, gone.seq))]
        del self.ids[gone.id]
        return gone.entry(self.unread)


def _is_unread(notification: Notification) -> bool:
    return not notification.read and not notification.archived


def _is_news(notification: Notification, mark: Mark) -> bool:
    if notification.archived:
        return False
    return mark == "archived" or notification.read != (mark == "read")


def _marked(notification: Notification, mark: Mark, position: int, now: datetime) -> Notification:
    read_at = {"read": now, "unread": None, "archived": notification.read_at}[mark]
    archived = mark == "archived"
    return msgspec.structs.replace(notification, changed=position, updated_at=now, read_at=read_at, archived=archived)
