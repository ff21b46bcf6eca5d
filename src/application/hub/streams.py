"""Streams: the buffers of all streams that sessions of this process follow, joined to the backplane and compared with
the store."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from application.counters import Counters
from application.hub.frames import MOST_ENTRIES, Frames, render, take_chunk
from application.hub.opening import Gap
from application.hub.stream_buffer import StreamBuffer
from application.ports.backplane import Backplane
from application.ports.store import Store, StoreUnavailable
from domain.positions import Head
from domain.protocol.herald_v1 import View
from domain.streams import Entry, StreamName, public_name

# Sweeps after which a stream that nobody follows is forgotten: a client that reconnects by then finds it still warm.
FORGOTTEN_AFTER: Final = 5

# All buffers together, in bytes. Beyond it the buffer that grows gives way: its readers go to the store.
MOST_BYTES: Final = 256 * 1024 * 1024


class Streams:
    """Every stream that someone here follows, by one buffer each.

    Whatever the backplane loses, repeats or reorders, a buffer takes only what comes next, and is compared with the
    store.
    """

    def __init__(self, store: Store, backplane: Backplane, counters: Counters) -> None:
        self._store = store
        self._backplane = backplane
        self._counters = counters
        self._buffers: dict[StreamName, StreamBuffer] = {}
        self._weight = 0
        self._fetches: dict[tuple[StreamName, View, int], asyncio.Task[Frames]] = {}

    async def follow(self, names: Sequence[StreamName]) -> tuple[StreamBuffer, ...]:
        """The buffers of these streams, subscribed to: what is published from now on reaches them. A fresh one has no
        head until `set_heads`. Raises StoreUnavailable."""
        buffers = tuple(self._buffers.setdefault(name, StreamBuffer(name)) for name in names)
        for buffer in buffers:
            # Or one that nobody has followed for a while could be forgotten during what follows.
            buffer.idle = 0
        if fresh := [buffer.name for buffer in buffers if not buffer.subscribed]:
            await self._backplane.subscribe(fresh)
            for buffer in buffers:
                buffer.subscribed = True
        return buffers

    def set_heads(self, heads: Mapping[StreamName, Head]) -> None:
        """Gives fresh buffers their heads, as they were read after the subscription: what that read did not see comes
        by the backplane."""
        for name, head in heads.items():
            buffer = self._buffers.get(name)
            if buffer is not None and buffer.subscribed and buffer.head == 0 and head.last > 0:
                buffer.restart_after(head.last)
                # Or it was empty, and those who follow it have been told nothing of its first entries.
                buffer.wake()

    def arrived(self, entries: Sequence[Entry]) -> None:
        """Takes what the backplane has brought, and wakes who follows."""
        moved: dict[StreamName, StreamBuffer] = {}
        first = 0
        while first < len(entries):
            entry = entries[first]
            end = first + 1
            # A mass act is one position of many entries; one that comes twice is not twice as large.
            while end < len(entries) and _belongs(entries[end], entry):
                end += 1
            buffer = self._buffers.get(entry.stream)
            if buffer is not None:
                self._weight += buffer.append(entries[first:end])
                moved[entry.stream] = buffer
            first = end
        for buffer in moved.values():
            if self._weight > MOST_BYTES:
                self._weight -= buffer.restart_after(buffer.head)
            buffer.wake()

    async def fetch(self, buffer: StreamBuffer, view: View, after: int) -> Frames:
        """The frames that follow position `after`, from the store. Sessions that ask for the same at once are
        answered by one read.

        Raises Gap where the store keeps less than that, and StoreUnavailable.
        """
        key = (buffer.name, view, after)
        task = self._fetches.get(key)
        if task is None:
            task = self._fetches[key] = asyncio.create_task(self._read(buffer, view, after))
            task.add_done_callback(lambda _: self._fetches.pop(key, None))
        return await asyncio.shield(task)

    def chosen(self, choose: Callable[[str], bool]) -> list[StreamName]:
        """The streams whose names are chosen."""
        return [name for name in self._buffers if choose(name)]

    def compare(self, heads: Mapping[StreamName, Head]) -> None:
        """Notes where the store is ahead of a buffer: something was missed, or is on its way just now. `heal` tells
        which."""
        for name, head in heads.items():
            if (buffer := self._buffers.get(name)) is not None and buffer.subscribed:
                buffer.suspect = head.last

    def heal(self) -> None:
        """Sends those to the store who follow a buffer that is still behind where it was at the last comparison."""
        for buffer in self._buffers.values():
            if buffer.head < buffer.suspect:
                self._counters.healed += 1
                self._weight -= buffer.restart_after(buffer.suspect)
                buffer.wake()

    def forget(self) -> None:
        """Drops the streams that nobody has followed for a while."""
        for buffer in self._buffers.values():
            buffer.idle = 0 if buffer.followers else buffer.idle + 1
        forgotten = [buffer for buffer in self._buffers.values() if buffer.idle > FORGOTTEN_AFTER]
        for buffer in forgotten:
            self._weight -= buffer.restart_after(buffer.head)
            del self._buffers[buffer.name]
        self._backplane.unsubscribe([buffer.name for buffer in forgotten])

    async def _read(self, buffer: StreamBuffer, view: View, after: int) -> Frames:
        read = self._store.changes if view.protocol else self._store.arrivals
        page = await read(buffer.name, after, MOST_ENTRIES)
        if after < page.head.pruned:
            raise Gap(public_name(buffer.name), after, page.head.pruned)
        taken = take_chunk(page.entries, 0) if page.entries else ()
        whole = len(taken) == len(page.entries)
        upto = page.upto if whole else (taken[-1].changed if view.protocol else taken[-1].seq)
        if upto <= after:
            # A head that the store does not have (any more): it may come, and asking at once again would not hasten it.
            raise StoreUnavailable(f"{buffer.name} has nothing after {after} yet")
        frames = render(view, taken, upto)
        frames.complete = upto == page.head.last or not view.tells_state(buffer.name)
        return buffer.keep((view, after), frames) if frames.complete else frames


def _belongs(entry: Entry, first: Entry) -> bool:
    """Whether it is another entry of the first one's position."""
    return entry.changed == first.changed and entry.stream == first.stream and entry.id != first.id
