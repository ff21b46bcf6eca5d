"""The listener: the interface for callers."""

import os
from collections.abc import AsyncIterator, Mapping, Sequence
from ssl import SSLContext
from types import TracebackType
from typing import Self

import msgspec

from herald_client.addresses import address
from herald_client.backoff import Backoff
from herald_client.cursors import CursorFile, CursorInMemory, CursorStore
from herald_client.objects import Item
from herald_client.positions import Positions, ResumePoint, advanced
from herald_client.receiver import Received, Receiver
from herald_client.reconnection import Reconnection
from herald_client.timing import DEFAULT_TIMING, Timing
from herald_client.tokens import TokenProvider, Tokens, TokenValue


class Batch(msgspec.Struct, frozen=True):
    """The items of one frame, or a single Away. `lines` has the JSON text of each item; it is "" for Away, which the
    client creates itself.
    """

    items: tuple[Item, ...]
    lines: tuple[str, ...]


class Listener:
    """Receives the entries of a user's inbox and of feeds, in order, and reconnects as often as needed.

    `urls` are the URLs of nodes of one Herald, or of its load balancer. `token` is a text, a Token, or a function
    (async or not) that returns one. The function is called when a token is needed, and before a token expires. `cursor`
    is where the resume point is stored: the path of a file, or a CursorStore. Without `cursor` it is kept in memory. A
    listener without a stored resume point receives only entries that are new from then on. `user` is the user's id,
    for a Herald that runs with HERALD_AUTH=open.

    An item counts as processed when the next one is requested, or when the `async with` block is left without an
    exception. The resume point is saved after each processed frame. So each item is received exactly once, with one
    exception: if the process ends after processing and before saving, the items of the last frame are received again.
    Lost entries are reported by `Hello.gap` or a `Gap`.

    Iteration raises Stopped if the service refuses this client, OSError if the resume point can't be saved, and the
    exceptions of the token function. It can be cancelled and continued without loss. Frames are received only during
    iteration: a caller that does not iterate for a long time is disconnected, and resumes at its next iteration.
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
        """Raises ValueError for an invalid URL."""
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
        """The address of the current connection, or of the next attempt, without its query."""
        return self._reconnection.url

    @property
    def repeats(self) -> int:
        """The number of duplicate entries that were dropped. A correct service sends none."""
        return self._receiver.repeats

    async def __aenter__(self) -> Self:
        """Loads the resume point. Raises CursorUnreadable."""
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
        """Iterates over the same items, grouped by frame and with the JSON text of each. Faster for many items."""
        return _Batches(self)

    async def next_batch(self) -> Batch:
        """Waits for the next frame and returns its items. Raises StopAsyncIteration after the end of the `async with`
        block."""
        if self._returned == len(self._frame):
            await self._next_frame()
        received = self._frame[self._returned :]
        self._returned = len(self._frame)
        self._unconfirmed = len(received)
        return Batch(tuple(item for item, _ in received), tuple(line for _, line in received))

    async def _next_frame(self) -> None:
        """Saves the resume point after the previous frame, which the caller has processed, and receives frames until
        one has items."""
        while self._returned == len(self._frame):
            self._save(self._returned)
            if self._is_closed:
                raise StopAsyncIteration
            self._frame, self._returned, self._unconfirmed = [], 0, 0
            self._frame = await self._receiver.receive()

    def _save(self, processed: int) -> None:
        """Saves the resume point. `processed` is the number of items of the current frame that the caller has
        processed."""
        resume_point = self._positions.resume_point
        if processed < len(self._frame):
            done, left = ([item for item, _ in part] for part in (self._frame[:processed], self._frame[processed:]))
            resume_point = advanced(self._saved, done, left) if self._saved is not None else None
        if resume_point is not None and resume_point != self._saved:
            self._store.save(resume_point)
            self._saved = resume_point


class _Batches(AsyncIterator[Batch]):
    """A class, because an asynchronous generator would end when it is cancelled."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener

    async def __anext__(self) -> Batch:
        return await self._listener.next_batch()


def _store(cursor: CursorStore | str | os.PathLike[str] | None) -> CursorStore:
    if cursor is None:
        return CursorInMemory()
    return CursorFile(cursor) if isinstance(cursor, str | os.PathLike) else cursor
