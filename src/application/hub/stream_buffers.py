"""The buffers of all streams that sessions of this process follow. They are filled from the backplane, and compared
with the store."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from application.counters import Counters
from application.hub.frames import Frames, render, take_chunk
from application.hub.policy import BufferPolicy
from application.hub.session_request import SessionRequest
from application.hub.stream_buffer import StreamBuffer
from application.ports.backplane import Backplane
from application.ports.store import Store, StoreUnavailable
from domain.positions import Cursor, Head, ResumePoint, resolve_start, tag_of
from domain.protocol.entry_kinds import View
from domain.streams import StreamEntry, StreamName, inbox_of, public_name


class EntriesPruned(Exception):
    """Raised by Streams.fetch: a session needs entries of this stream that have been deleted from the store, those
    after position `after` up to and including `upto`."""

    def __init__(self, stream: str, after: int, upto: int) -> None:
        super().__init__(f"{stream}: {after} to {upto}")
        self.stream = stream
        self.after = after
        self.upto = upto


class Streams:
    """The buffers of all streams that sessions of this process follow, one for each stream. If a buffer does not have
    the entries that a session needs, `fetch` reads them from the store.

    The backplane may lose, repeat or reorder entries. So a buffer appends only the entries at the next position, and
    Reconcile compares every buffer with the store every few seconds.
    """

    def __init__(self, store: Store, backplane: Backplane, counters: Counters, policy: BufferPolicy) -> None:
        self._store = store
        self._backplane = backplane
        self._counters = counters
        self._policy = policy
        self._buffers: dict[StreamName, StreamBuffer] = {}
        self._weight = 0
        self._fetches: dict[tuple[StreamName, View, int], asyncio.Task[Frames]] = {}

    # --- for sessions --------------------------------------------------------------------------------------------

    async def follow(self, names: Sequence[StreamName]) -> tuple[StreamBuffer, ...]:
        """Subscribes to these streams and returns their buffers, in the same order. Entries published after the return
        are added to the buffers. The head of a new buffer is unknown until `resume_point` or `set_heads` is called.
        Raises StoreUnavailable."""
        buffers = tuple(self._buffers.setdefault(name, StreamBuffer(name, self._policy)) for name in names)
        for buffer in buffers:
            # Otherwise a buffer without followers could be forgotten during the subscription.
            buffer.idle_sweeps = 0
        if new := [buffer.name for buffer in buffers if not buffer.subscribed]:
            await self._backplane.subscribe(new)
            for buffer in buffers:
                buffer.subscribed = True
        return buffers

    async def resume_point(
        self, request: SessionRequest, cursor: Cursor | None, lost: bool = False
    ) -> tuple[ResumePoint, datetime | None]:
        """Returns the positions at which a session starts, and the time of its user's latest sign-out (None if there is
        none). Call `follow` for the streams of the request first, so that no entry is missed in between. Raises
        StoreUnavailable.

        The session starts at the positions of the cursor. Without a cursor, or if `lost` is True because the client's
        cursor can't be read, it starts at the head of each stream.
        """
        user = request.identity.user
        own = [inbox_of(user)] if user is not None else []
        # The streams are subscribed to: entries that this read does not see yet arrive by the backplane.
        heads = await self._store.heads(dict.fromkeys([*request.streams, *own]))
        self.set_heads(heads)
        not_before = heads[own[0]].not_before if own else None
        followed = {name: heads[name] for name in request.streams}
        return resolve_start(cursor, lost, request.epoch, tag_of(user), followed), not_before

    async def fetch(self, buffer: StreamBuffer, view: View, after: int) -> Frames:
        """Reads from the store the next frames of a stream after position `after`, rendered for this view. Concurrent
        calls with the same arguments share one read. Raises EntriesPruned if entries after this position have been
        deleted, and StoreUnavailable if the store is unavailable or has no entries after this position."""
        key = (buffer.name, view, after)
        task = self._fetches.get(key)
        if task is None:
            task = self._fetches[key] = asyncio.create_task(self._read(buffer, view, after))
            task.add_done_callback(lambda _: self._fetches.pop(key, None))
        return await asyncio.shield(task)

    # --- from the backplane and the store ------------------------------------------------------------------------

    def set_heads(self, heads: Mapping[StreamName, Head]) -> None:
        """Sets the head of each buffer whose head is still unknown. The given heads must have been read from the store
        after `follow` has subscribed to the streams, so that all later entries arrive by the backplane."""
        for name, head in heads.items():
            buffer = self._buffers.get(name)
            if buffer is not None and buffer.subscribed and buffer.head == 0 and head.last > 0:
                buffer.restart_after(head.last)
                # The stream may have been empty: its followers have not been sent its first entries.
                buffer.wake()

    def arrived(self, entries: Sequence[StreamEntry]) -> None:
        """Adds entries that the backplane has delivered to the buffers of their streams, and wakes the sessions that
        follow these streams. Ignores entries of streams that have no buffer."""
        moved: dict[StreamName, StreamBuffer] = {}
        first = 0
        while first < len(entries):
            entry = entries[first]
            end = first + 1
            # A mass change is one position with many entries. A repeated entry begins the next group, which `append`
            # ignores as a duplicate.
            while end < len(entries) and _same_position(entries[end], entry):
                end += 1
            buffer = self._buffers.get(entry.stream)
            if buffer is not None:
                self._weight += buffer.append(entries[first:end])
                moved[entry.stream] = buffer
            first = end
        for buffer in moved.values():
            if self._weight > self._policy.max_total_bytes:
                # The buffer that grows is emptied: its sessions read from the store.
                self._weight -= buffer.restart_after(buffer.head)
            buffer.wake()

    def __iter__(self) -> Iterator[StreamName]:
        """Returns the names of the streams that have a buffer."""
        return iter(self._buffers)

    def __contains__(self, name: StreamName) -> bool:
        return name in self._buffers

    def compare(self, heads: Mapping[StreamName, Head]) -> None:
        """Records these heads, just read from the store, in the buffers of their streams. If the head of a buffer is
        lower than the store's head, entries were lost or are on their way: the next call of `resynchronise` treats them
        as lost, unless they have arrived by then."""
        for name, head in heads.items():
            if (buffer := self._buffers.get(name)) is not None and buffer.subscribed:
                buffer.store_head = head.last

    def resynchronise(self) -> None:
        """Restarts each buffer whose head is lower than the store's head at the last call of `compare`: drops its
        entries and sets its head to the store's. The sessions that follow the stream read the entries that they lack
        from the store."""
        for buffer in self._buffers.values():
            if buffer.head < buffer.store_head:
                self._counters.healed += 1
                self._weight -= buffer.restart_after(buffer.store_head)
                buffer.wake()

    def drop_idle(self) -> None:
        """Drops the buffers that no session has followed for more than `forget_after_sweeps` calls of this method, and
        unsubscribes from their streams. Reconcile calls it in every sweep, about once a second."""
        for buffer in self._buffers.values():
            buffer.idle_sweeps = 0 if buffer.followers else buffer.idle_sweeps + 1
        idle = [buffer for buffer in self._buffers.values() if buffer.idle_sweeps > self._policy.forget_after_sweeps]
        for buffer in idle:
            self._weight -= buffer.restart_after(buffer.head)
            del self._buffers[buffer.name]
        self._backplane.unsubscribe([buffer.name for buffer in idle])

    async def _read(self, buffer: StreamBuffer, view: View, after: int) -> Frames:
        read = self._store.changes if view.protocol else self._store.arrivals
        page = await read(buffer.name, after, self._policy.max_page_entries)
        if after < page.head.pruned:
            raise EntriesPruned(public_name(buffer.name), after, page.head.pruned)
        entries = page.in_order
        chunk = take_chunk(entries, 0, self._policy) if entries else ()
        whole = len(chunk) == len(entries)
        upto = page.upto if whole else (chunk[-1].changed if view.protocol else chunk[-1].seq)
        if upto <= after:
            # The store does not have the buffer's head, or no longer has it. It may appear: retry after a pause.
            raise StoreUnavailable(f"{buffer.name} has no entries after position {after} in the store yet")
        frames = render(view, chunk, upto)
        frames.complete = upto == page.head.last or not view.tells_state(buffer.name)
        return buffer.cache((view, after), frames) if frames.complete else frames


def _same_position(entry: StreamEntry, first: StreamEntry) -> bool:
    """Returns whether the two entries belong to one position of one stream, as those of a mass change such as "mark all
    as read" do. Returns False if they are equal: then `entry` is a duplicate."""
    return entry.changed == first.changed and entry.stream == first.stream and entry != first
