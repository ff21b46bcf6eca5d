"""Streams in memory: feeds with their broadcasts, and inboxes with their notifications."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from msgspec.structs import replace

from domain.notification_state import StateChange
from domain.notifications import Notification, head_after
from domain.positions import Head
from domain.streams import Entry


class Feed:
    """The stored broadcasts of one feed. `broadcasts` has them by `seq`; `seqs` has all keys of `broadcasts`,
    ascending. `events` maps (origin, event id) of each stored event to its source. `head` is the head of the feed."""

    __slots__ = ("broadcasts", "events", "head", "seqs")

    def __init__(self) -> None:
        self.head = Head()
        self.seqs: list[int] = []
        self.events: dict[tuple[str, str], str] = {}
        self.broadcasts: dict[int, Entry] = {}

    def append(self, broadcast: Entry) -> None:
        self.head = replace(self.head, last=broadcast.seq)
        self.seqs.append(broadcast.seq)
        self.broadcasts[broadcast.seq] = broadcast

    def entry(self, seq: int) -> Entry:
        return self.broadcasts[seq]

    def prune(self) -> Entry:
        """Removes the oldest broadcast and returns it."""
        gone = self.broadcasts.pop(self.seqs.pop(0))
        self.head = replace(self.head, pruned=gone.seq)
        return gone


class Inbox:
    """The stored notifications of one inbox. `notifications` has them by `seq`; `seqs` has all keys of `notifications`,
    ascending. `changes` has (changed, seq) of every notification, ascending, and `ids` maps notification ids to `seq`.
    `events` maps (origin, event id) of each stored event to its source. `head` is the head of the inbox, without the
    time of its user's sign-out."""

    __slots__ = ("changes", "events", "head", "ids", "notifications", "seqs")

    def __init__(self) -> None:
        self.head = Head()
        self.seqs: list[int] = []
        self.changes: list[tuple[int, int]] = []
        self.events: dict[tuple[str, str], str] = {}
        self.notifications: dict[int, Notification] = {}
        self.ids: dict[UUID, int] = {}

    def append(self, arrival: Notification) -> None:
        self.head = replace(self.head, last=arrival.seq, unread=self.head.unread + arrival.state.unread)
        self.seqs.append(arrival.seq)
        self.changes.append((arrival.changed, arrival.seq))
        self.notifications[arrival.seq] = arrival
        self.ids[arrival.id] = arrival.seq

    def entry(self, seq: int) -> Entry:
        """Returns the entry that reports the arrival of the notification with this `seq`, in its current state."""
        return self.notifications[seq].entry(self.head, "arrival")

    def change(self, seqs: Sequence[int], change: StateChange, now: datetime) -> tuple[Entry, ...]:
        """Applies a state change to the notifications with these `seqs` (ascending), and returns the entries of the
        changed ones. All of them get the inbox's next position as `changed`. Skips notifications for which the change
        is a no-op."""
        position = self.head.last + 1
        notifications = (self.notifications[seq] for seq in seqs)
        changed = [
            (before, after) for before in notifications if (after := before.after(change, position, now)) is not None
        ]
        if changed:
            self.head = head_after(self.head, changed)
        for before, after in changed:
            del self.changes[bisect_left(self.changes, (before.changed, before.seq))]
            self.changes.append((after.changed, after.seq))
            self.notifications[after.seq] = after
        return tuple(after.entry(self.head, change) for _, after in changed)

    def see(self, upto: int) -> bool:
        """Moves the watermark to the newest notification with seq <= `upto`. Returns False, and changes nothing, if
        there is no such notification after the watermark."""
        head = self.head
        first, end = bisect_right(self.seqs, head.seen_seq), bisect_right(self.seqs, upto)
        if first >= end:
            return False
        newly_seen = [self.notifications[seq] for seq in self.seqs[first:end]]
        position = head.last + 1
        self.head = replace(
            head,
            last=position,
            seen_seq=newly_seen[-1].seq,
            seen_changed=position,
            seen_unread=head.seen_unread + sum(one.is_unseen(head) for one in newly_seen),
        )
        return True

    def prune(self) -> Entry:
        """Removes the oldest notification and returns its entry."""
        head, gone = self.head, self.notifications.pop(self.seqs.pop(0))
        unread, unseen = head.unread - gone.state.unread, head.unseen - gone.is_unseen(head)
        self.head = replace(head, pruned=gone.seq, unread=unread, seen_unread=unread - unseen)
        del self.changes[bisect_left(self.changes, (gone.changed, gone.seq))]
        del self.ids[gone.id]
        return gone.entry(self.head)
