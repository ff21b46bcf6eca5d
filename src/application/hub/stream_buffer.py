"""Stream buffers: a stream as this node knows it."""

from bisect import bisect_right
from collections.abc import Sequence
from typing import Final, Protocol

from application.hub.frames import Frames, render, take_chunk
from domain.protocol.herald_v1 import View
from domain.streams import Entry, StreamName

# A buffer serves those who are a little behind; whoever is further behind reads from the store.
MOST_ENTRIES: Final = 1024
MOST_BYTES: Final = 1024 * 1024

# Ready frames kept for a buffer: sessions in step need one, stragglers a few.
MOST_FRAMES: Final = 16


class Follower(Protocol):
    """A session, as its streams see it."""

    def wake(self) -> None:
        """Called when a stream has moved on."""


class StreamBuffer:
    """The newest entries of a stream, at the positions `base` + 1 to `head`, and the sessions that follow it.

    A position has one entry, or those of a mass act. Entries enter at head + 1 only. What comes again is passed over;
    what comes too early makes the buffer begin anew behind the hole, and whoever stands before it reads from the store.
    So a session finds every position either here or there.
    """

    __slots__ = ("base", "entries", "followers", "frames", "head", "idle", "name", "subscribed", "suspect", "weight")

    def __init__(self, name: StreamName) -> None:
        self.name = name
        self.head = 0
        self.base = 0
        self.entries: list[Entry] = []
        self.weight = 0
        self.followers: set[Follower] = set()
        self.frames: dict[tuple[View, int], Frames] = {}
        self.subscribed = False
        self.suspect = 0  # a head that the store had and this buffer did not, when they were last compared
        self.idle = 0  # how many sweeps found no follower

    def append(self, entries: Sequence[Entry]) -> int:
        """Takes all that happened at one position if it is news; returns by how many bytes the buffer has grown (or,
        below 0, shrunk)."""
        position = entries[0].changed
        if position <= self.head:
            return 0
        grown = 0
        if position != self.head + 1:
            grown -= self.restart_after(position - 1)
        weight = sum(entry.weight for entry in entries)
        self.entries.extend(entries)
        self.head = position
        self.weight += weight
        grown += weight
        if len(self.entries) > MOST_ENTRIES or self.weight > MOST_BYTES:
            grown -= self.trim()
        return grown

    def restart_after(self, position: int) -> int:
        """Forgets all entries: the buffer begins behind `position`, which is its head until something is appended.
        Returns the bytes freed."""
        freed = self.weight
        self.entries = []
        self.frames.clear()
        self.weight = 0
        self.base = self.head = position
        return freed

    def trim(self) -> int:
        """Forgets the older half, whole positions only; returns the bytes freed."""
        half = self._index(self.entries[(len(self.entries) - 1) // 2].changed)
        gone = self.entries[:half]
        freed = sum(entry.weight for entry in gone)
        del self.entries[:half]
        self.weight -= freed
        self.base = gone[-1].changed
        return freed

    def ready(self, view: View, after: int) -> Frames | None:
        """What follows position `after`, as far as one step goes; None if the store has to be asked."""
        key = (view, after)
        frames = self.frames.get(key)
        if frames is None and after >= self.base:
            taken = take_chunk(self.entries, self._index(after))
            frames = self.keep(key, render(view, taken, taken[-1].changed))
        return frames

    def _index(self, after: int) -> int:
        """Where the entries behind a position begin."""
        if len(self.entries) == self.head - self.base:
            return after - self.base
        return bisect_right(self.entries, after, key=lambda entry: entry.changed)

    def keep(self, key: tuple[View, int], frames: Frames) -> Frames:
        if len(self.frames) >= MOST_FRAMES:
            del self.frames[next(iter(self.frames))]
        self.frames[key] = frames
        return frames

    def wake(self) -> None:
        for session in self.followers:
            session.wake()
