"""Streams in memory: feeds with their broadcasts, and inboxes with their notifications."""

from bisect import bisect_left
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from domain.notification_state import StateChange
from domain.notifications import Notification
from domain.streams import Entry


class Feed:
    """The stored broadcasts of one feed. `broadcasts` has them by `seq`; `seqs` has all keys of `broadcasts`,
    ascending. `events` maps (origin, event id) of each stored event to its source. `last` is the newest position, and
    `pruned` the newest position that is no longer stored."""

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
        """Removes the oldest broadcast and returns it."""
        self.pruned = self.seqs.pop(0)
        return self.broadcasts.pop(self.pruned)


class Inbox:
    """The stored notifications of one inbox. `notifications` has them by `seq`; `seqs` has all keys of `notifications`,
    ascending. `changes` has (changed, seq) of every notification, ascending, and `ids` maps notification ids to `seq`.
    `events` maps (origin, event id) of each stored event to its source. `last` is the newest position, `pruned` the
    newest position that is no longer stored, and `unread` the number of unread notifications."""

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
        self.unread += arrival.state.unread
        self.seqs.append(arrival.seq)
        self.changes.append((arrival.changed, arrival.seq))
        self.notifications[arrival.seq] = arrival
        self.ids[arrival.id] = arrival.seq

    def entry(self, seq: int) -> Entry:
        """Returns the entry that reports the arrival of the notification with this `seq`, in its current state."""
        return self.notifications[seq].entry(self.unread, "arrival")

    def change(self, seqs: Sequence[int], change: StateChange, now: datetime) -> tuple[Entry, ...]:
        """Applies a state change to the notifications with these `seqs` (ascending), and returns the entries of the
        changed ones. All of them get the inbox's next position as `changed`. Skips notifications for which the change
        is a no-op."""
        position = self.last + 1
        notifications = (self.notifications[seq] for seq in seqs)
        changed = [
            (before, after) for before in notifications if (after := before.after(change, position, now)) is not None
        ]
        if changed:
            self.last = position
        for before, after in changed:
            self.unread += after.state.unread - before.state.unread
            del self.changes[bisect_left(self.changes, (before.changed, before.seq))]
            self.changes.append((after.changed, after.seq))
            self.notifications[after.seq] = after
        return tuple(after.entry(self.unread, change) for _, after in changed)

    def prune(self) -> Entry:
        """Removes the oldest notification and returns its entry."""
        self.pruned = self.seqs.pop(0)
        gone = self.notifications.pop(self.pruned)
        self.unread -= gone.state.unread
        del self.changes[bisect_left(self.changes, (gone.changed, gone.seq))]
        del self.ids[gone.id]
        return gone.entry(self.unread)
