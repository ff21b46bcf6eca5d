"""The Listener: the class through which a program receives notifications and broadcasts."""

import os
from collections.abc import AsyncIterator, Mapping, Sequence
from ssl import SSLContext
from types import TracebackType
from typing import Self

import msgspec

from herald_client.addresses import address
from herald_client.backoff import Backoff
from herald_client.connection_timing import DEFAULT_TIMING, Timing
from herald_client.cursors import CursorFile, CursorInMemory, CursorStore
from herald_client.objects import Item
from herald_client.positions import Positions, ResumePoint, resume_point_after
from herald_client.receiver import Received, Receiver
from herald_client.reconnection import Reconnection
from herald_client.tokens import TokenProvider, Tokens, TokenValue


class Batch(msgspec.Struct, frozen=True):
    """The items of one received frame, or a single Away. `lines` has the JSON text of each item, at the same index. The
    line of an Away is "", because it does not come from Herald."""

    items: tuple[Item, ...]
    lines: tuple[str, ...]


class Listener:
    """Receives the entries of a user's inbox and of feeds, in order, and reconnects whenever the connection is lost.

    `urls` is the URL of Herald or its load balancer, or a list of the URLs of its nodes. `token` identifies the user: a
    string, a Token, or a function (async or not) that returns one. The function is called before the first connection,
    before a token expires, and after Herald has refused one as expired. `user` is the user's id, for a Herald without
    authentication (HERALD_AUTH=open). `feeds` are the names of the feeds to follow, and `types` the event types to
    receive; with None, all feeds that the user may read, and all types.

    `cursor` is where the resume point (the cursor and the last position of each stream) is stored: a file path or a
    CursorStore; by default it is only in memory. Without a stored resume point, the listener starts with new entries.

    An item counts as processed when the caller requests the next one, or leaves the `async with` block without an
    exception. The resume point is saved after each processed frame. Each item is received exactly once, with one
    exception: if the process is killed between processing and saving, the items of the last frame are received again.
    `Hello.gap` or a `Gap` reports entries that were deleted before the client received them.

    Iterating raises Stopped if Herald refuses this client, OSError if the resume point can't be saved, and any
    exception of the token function. A cancelled iteration can be continued without loss. Frames are received only
    during iteration: Herald disconnects a client that does not iterate for a long time, and the next iteration resumes.
    """

    def __init__(
        self,
        urls: str | Sequence[str],
        *,
        user: str | None = None,
        token: TokenValue | TokenProvider | None = None,
        feeds: Sequence[str] | None = None,
        types: Sequence[str] | None = None,
        cursor: CursorStore | str | os.PathLike[str] | None = None,
        headers: Mapping[str, str] | None = None,
        ssl: SSLContext | None = None,
        backoff: Backoff | None = None,
        timing: Timing = DEFAULT_TIMING,
    ) -> None:
        """Makes a listener, which connects when it is iterated. Raises ValueError for an invalid URL or an empty list
        of URLs."""
        addresses = [urls] if isinstance(urls, str) else urls
        self._reconnection = Reconnection([address(url, user, feeds, types) for url in addresses], backoff or Backoff())
        self._positions = Positions()
        self._receiver = Receiver(self._reconnection, Tokens(token), self._positions, headers or {}, ssl, timing)
        self._store = _store(cursor)
        self._saved: ResumePoint | None = None
        self._frame: list[Received] = []
        self._returned = 0  # items of the frame that were returned to the caller
        self._unconfirmed = 0  # the number of items returned last, which may not have been processed yet
        self._is_closed = False

    @property
    def url(self) -> str:
        """The WebSocket address of the current connection, or of the next attempt to connect, without its query."""
        return self._reconnection.url

    @property
    def repeats(self) -> int:
        """The number of duplicate entries that Herald has sent and the client has dropped. It stays 0 if Herald works
        correctly."""
        return self._receiver.repeats

    async def __aenter__(self) -> Self:
        """Loads the stored resume point: the cursor and the positions from which this listener continues. Raises
        CursorUnreadable if the cursor file is damaged or can't be read."""
        self._saved = self._store.load()
        self._positions.start_at(self._saved)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_closed = True
        try:
            self._save(self._returned if kind is None else self._returned - self._unconfirmed)
        finally:
            await self._receiver.close()

    def __aiter__(self) -> AsyncIterator[Item]:
        return self

    async def __anext__(self) -> Item:
        if self._returned == len(self._frame):
            await self._next_frame()
        item, _ = self._frame[self._returned]
        self._returned += 1
        self._unconfirmed = 1
        return item

    def batches(self) -> AsyncIterator[Batch]:
        """Returns an iterator over the received frames: each Batch has the items of one frame and their JSON texts. It
        is faster than iterating over single items if there are many."""
        return _Batches(self)

    async def next_batch(self) -> Batch:
        """Returns the items of the current frame that the caller has not received yet; if there are none, waits for the
        next frame. Raises StopAsyncIteration after the `async with` block has ended."""
        if self._returned == len(self._frame):
            await self._next_frame()
        received = self._frame[self._returned :]
        self._returned = len(self._frame)
        self._unconfirmed = len(received)
        return Batch(tuple(item for item, _ in received), tuple(line for _, line in received))

    async def _next_frame(self) -> None:
        """Saves the resume point (the cursor and the processed positions), because the caller has processed all items
        of the current frame. Then receives frames until one has items."""
        while self._returned == len(self._frame):
            self._save(self._returned)
            if self._is_closed:
                raise StopAsyncIteration
            self._frame, self._returned, self._unconfirmed = [], 0, 0
            self._frame = await self._receiver.receive()

    def _save(self, processed: int) -> None:
        """Saves the resume point (the cursor and the processed positions) if it has changed. `processed` is the number
        of items of the current frame that the caller has processed."""
        resume_point = self._positions.resume_point
        if processed < len(self._frame):
            done, left = ([item for item, _ in part] for part in (self._frame[:processed], self._frame[processed:]))
            resume_point = resume_point_after(self._saved, done, left) if self._saved is not None else None
        if resume_point is not None and resume_point != self._saved:
            self._store.save(resume_point)
            self._saved = resume_point


class _Batches(AsyncIterator[Batch]):
    """The iterator that `Listener.batches` returns. It is a class, because an asynchronous generator can't be continued
    after a cancellation."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener

    async def __anext__(self) -> Batch:
        return await self._listener.next_batch()


def _store(cursor: CursorStore | str | os.PathLike[str] | None) -> CursorStore:
    if cursor is None:
        return CursorInMemory()
    return CursorFile(cursor) if isinstance(cursor, str | os.PathLike) else cursor
