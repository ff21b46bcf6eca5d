"""The buffer of one stream: its newest entries, in the memory of this node."""

from bisect import bisect_right
from collections.abc import Sequence
from typing import Protocol

from application.hub.frames import Frames, render, take_chunk
from application.hub.policy import BufferPolicy
from domain.protocol.entry_kinds import View
from domain.streams import StreamEntry, StreamName


class Follower(Protocol):
    """The interface of a session for the buffers of the streams that it follows."""

    def wake(self) -> None:
        """Called when the stream has new entries. Sends them, or makes another task send them. Never raises."""


class StreamBuffer:
    """The newest entries of one stream, those at the positions `base` + 1 to `head`, and the sessions that follow the
    stream. Sessions read earlier entries from the store.

    A position has one entry, or several if one operation has changed many notifications ("mark all as read"). Only the
    entries at position `head` + 1 are appended. Entries at `head` or before it are duplicates, and ignored. Entries
    beyond `head` + 1 show that the backplane has lost some: the buffer drops all its entries and continues with the new
    ones, and sessions read the missing entries from the store.
    """

    __slots__ = (
        "base",
        "entries",
        "followers",
        "frames",
        "head",
        "idle_sweeps",
        "name",
        "policy",
        "store_head",
        "subscribed",
        "weight",
    )

    def __init__(self, name: StreamName, policy: BufferPolicy) -> None:
        self.name = name
        self.policy = policy
        self.head = 0
        self.base = 0
        self.entries: list[StreamEntry] = []
        self.weight = 0  # bytes of all entries
        self.followers: set[Follower] = set()
        self.frames: dict[tuple[View, int], Frames] = {}
        self.subscribed = False
        self.store_head = 0  # the store's head at the last comparison
        self.idle_sweeps = 0  # sweeps since the last follower left

    def append(self, entries: Sequence[StreamEntry]) -> int:
        """Appends `entries`, which are all entries of one position. Ignores them if that position is not after the
        head. If positions between the head and that position are missing, drops all earlier entries first. Returns the
        number of bytes by which the buffer has grown; negative if it has shrunk."""
        position = entries[0].changed
        if position <= self.head:
            return 0
        growth = 0
        if position != self.head + 1:
            growth -= self.restart_after(position - 1)
        weight = sum(entry.weight for entry in entries)
        self.entries.extend(entries)
        self.head = position
        self.weight += weight
        growth += weight
        if len(self.entries) > self.policy.max_entries or self.weight > self.policy.max_bytes:
            growth -= self._drop_older_half()
        return growth

    def restart_after(self, position: int) -> int:
        """Drops all entries and sets the head to `position`, so that the buffer continues with the entries at
        `position` + 1. Returns the number of bytes freed."""
        freed = self.weight
        self.entries = []
        self.frames.clear()
        self.weight = 0
        self.base = self.head = position
        return freed

    def frames_after(self, view: View, position: int) -> Frames | None:
        """Returns frames with the entries after `position`, up to one chunk, rendered for this view. Returns None if
        the buffer no longer has these entries: they must be read from the store. There must be entries after
        `position`."""
        key = (view, position)
        frames = self.frames.get(key)
        if frames is None and position >= self.base:
            chunk = take_chunk(self.entries, self._index_after(position), self.policy)
            frames = self.cache(key, render(view, chunk, chunk[-1].changed))
        return frames

    def cache(self, key: tuple[View, int], frames: Frames) -> Frames:
        if len(self.frames) >= self.policy.max_cached_frames:
            del self.frames[next(iter(self.frames))]
        self.frames[key] = frames
        return frames

    def wake(self) -> None:
        for follower in self.followers:
            follower.wake()

    def _drop_older_half(self) -> int:
        """Drops the older half of the entries, and with the last of them all other entries at the same position.
        Returns the number of bytes freed."""
        half = self._index_after(self.entries[(len(self.entries) - 1) // 2].changed)
        dropped = self.entries[:half]
        freed = sum(entry.weight for entry in dropped)
        del self.entries[:half]
        self.weight -= freed
        self.base = dropped[-1].changed
        return freed

    def _index_after(self, position: int) -> int:
        """Returns the index of the first entry whose position is greater than `position`."""
        if len(self.entries) == self.head - self.base:
            return position - self.base
        return bisect_right(self.entries, position, key=lambda entry: entry.changed)
