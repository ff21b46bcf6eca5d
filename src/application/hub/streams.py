"""Streams: the tails of all streams that sessions of this process follow, joined to the backplane and compared with
the store."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from application.counters import Counters
from application.hub.frames import MOST_ENTRIES, Frames, render, step
from application.hub.opening import Gap
from application.hub.tail import Tail
from application.ports.backplane import Backplane
from application.ports.store import Store, StoreUnavailable
from domain.positions import Head
from domain.protocol.herald_v1 import View
from domain.streams import Entry, StreamName, public_name

# Sweeps after which a stream that nobody follows is forgotten: a client that reconnects by then finds it still warm.
FORGOTTEN_AFTER: Final = 5

# All tails together, in bytes. Beyond it the tail that grows gives way: its readers go to the store.
MOST_BYTES: Final = 256 * 1024 * 1024


class Streams:
    """Every stream that someone here follows, by one tail each.

    Whatever the backplane loses, repeats or reorders, a tail takes only what comes next, and is compared with the
    store.
    """

    def __init__(self, store: Store, backplane: Backplane, counters: Counters) -> None:
        self._store = store
        self._backplane = backplane
        self._counters = counters
        self._tails: dict[StreamName, Tail] = {}
        self._weight = 0
        self._fetches: dict[tuple[StreamName, View, int], asyncio.Task[Frames]] = {}

    async def follow(self, names: Sequence[StreamName]) -> tuple[Tail, ...]:
        """The tails of these streams, subscribed to: what is published from now on reaches them. A fresh one has no
        head until `settle`. Raises StoreUnavailable."""
        tails = tuple(self._tails.setdefault(name, Tail(name)) for name in names)
        for tail in tails:
            # Or one that nobody has followed for a while could be forgotten during what follows.
            tail.idle = 0
        if fresh := [tail.name for tail in tails if not tail.subscribed]:
            await self._backplane.subscribe(fresh)
            for tail in tails:
                tail.subscribed = True
        return tails

    def settle(self, heads: Mapping[StreamName, Head]) -> None:
        """Gives fresh tails their heads, as they were read after the subscription: what that read did not see comes
        by the backplane."""
        for name, head in heads.items():
            tail = self._tails.get(name)
            if tail is not None and tail.subscribed and tail.head == 0 and head.last > 0:
                tail.begin(head.last)
                # Or it was empty, and those who follow it have been told nothing of its first entries.
                tail.wake()

    def arrived(self, entries: Sequence[Entry]) -> None:
        """Takes what the backplane has brought, and wakes who follows."""
        moved: dict[StreamName, Tail] = {}
        first = 0
        while first < len(entries):
            entry = entries[first]
            end = first + 1
            # A mass act is one position of many entries; one that comes twice is not twice as large.
            while end < len(entries) and _belongs(entries[end], entry):
                end += 1
            tail = self._tails.get(entry.stream)
            if tail is not None:
                self._weight += tail.append(entries[first:end])
                moved[entry.stream] = tail
            first = end
        for tail in moved.values():
            if self._weight > MOST_BYTES:
                self._weight -= tail.begin(tail.head)
            tail.wake()

    async def fetch(self, tail: Tail, view: View, after: int) -> Frames:
        """The frames that follow position `after`, from the store. Sessions that ask for the same at once are
        answered by one read.

        Raises Gap where the store keeps less than that, and StoreUnavailable.
        """
        key = (tail.name, view, after)
        task = self._fetches.get(key)
        if task is None:
            task = self._fetches[key] = asyncio.create_task(self._read(tail, view, after))
            task.add_done_callback(lambda _: self._fetches.pop(key, None))
        return await asyncio.shield(task)

    def chosen(self, choose: Callable[[str], bool]) -> list[StreamName]:
        """The streams whose names are chosen."""
        return [name for name in self._tails if choose(name)]

    def compare(self, heads: Mapping[StreamName, Head]) -> None:
        """Notes where the store is ahead of a tail: something was missed, or is on its way just now. `heal` tells
        which."""
        for name, head in heads.items():
            if (tail := self._tails.get(name)) is not None and tail.subscribed:
                tail.suspect = head.last

    def heal(self) -> None:
        """Sends those to the store who follow a tail that is still behind where it was at the last comparison."""
        for tail in self._tails.values():
            if tail.head < tail.suspect:
                self._counters.healed += 1
                self._weight -= tail.begin(tail.suspect)
                tail.wake()

    def forget(self) -> None:
        """Drops the streams that nobody has followed for a while."""
        for tail in self._tails.values():
            tail.idle = 0 if tail.followers else tail.idle + 1
        forgotten = [tail for tail in self._tails.values() if tail.idle > FORGOTTEN_AFTER]
        for tail in forgotten:
            self._weight -= tail.begin(tail.head)
            del self._tails[tail.name]
        self._backplane.unsubscribe([tail.name for tail in forgotten])

    async def _read(self, tail: Tail, view: View, after: int) -> Frames:
        read = self._store.changes if view.protocol else self._store.arrivals
        page = await read(tail.name, after, MOST_ENTRIES)
        if after < page.head.pruned:
            raise Gap(public_name(tail.name), after, page.head.pruned)
        taken = step(page.entries, 0) if page.entries else ()
        whole = len(taken) == len(page.entries)
        upto = page.upto if whole else (taken[-1].changed if view.protocol else taken[-1].seq)
        if upto <= after:
            # A head that the store does not have (any more): it may come, and asking at once again would not hasten it.
            raise StoreUnavailable(f"{tail.name} has nothing after {after} yet")
        frames = render(view, taken, upto)
        frames.complete = upto == page.head.last or not view.tells_state(tail.name)
        return tail.keep((view, after), frames) if frames.complete else frames


def _belongs(entry: Entry, first: Entry) -> bool:
    """Whether it is another entry of the first one's position."""
    return entry.changed == first.changed and entry.stream == first.stream and entry.id != first.id
