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
from herald_client.tokens import TokenProvider, Tokens, TokenValue


class Batch(msgspec.Struct, frozen=True):
    """The items of one frame, or one item about the connection. `lines` has the JSON text of each item; "" for Away,
    which has none.
    """

    items: tuple[Item, ...]
    lines: tuple[str, ...]


class Listener:
    """Receives the entries of a user's inbox and of feeds, in order, and reconnects as often as needed.

    `urls` are nodes of one Herald, or its load balancer. `token` is a text, a Token, or a callable (or coroutine
    function) that returns one; it is called when a token is needed, and before one expires. `cursor` stores the resume
    point: the path of a file, or a CursorStore; without it the resume point lasts as long as the listener. Without a
    resume point the listener starts at the present. `user` applies in open mode only.

    An item counts as processed when the next one is requested, or when the `async with` block is left without an
    exception. The resume point is saved after each frame, and contains complete positions only. So each item is
    received exactly once, unless the process ends between processing and saving: then the items of the last frame are
    received again (at least once). Lost entries are reported by `Hello.gap` or a `Gap`.

    Iteration raises Stopped if the service rejects this client, OSError if the cursor can't be saved, and exceptions of
    the token provider. It can be cancelled and continued without loss. There is no background task or thread except for
    refreshing tokens: a caller that does not iterate for a long time is disconnected, and resumes later.
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
    ) -> None:
        """Raises ValueError for an invalid URL."""
        addresses = [urls] if isinstance(urls, str) else urls
        self._reconnection = Reconnection([address(url, user, feeds, types) for url in addresses], backoff or Backoff())
        self._positions = Positions()
        self._receiver = Receiver(self._reconnection, Tokens(token), self._positions, headers or {}, ssl)
        self._store = _store(cursor)
        self._saved: ResumePoint | None = None
        self._frame: list[Received] = []
        self._returned = 0  # items of the frame that were returned to the caller
        self._unconfirmed = 0  # the last ones of these, which may not have been processed yet
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
        """Load the resume point. Raises CursorUnreadable."""
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
        """The same items, grouped by frame: faster for many items, and with the JSON text of each."""
        return _Batches(self)

    async def next_batch(self) -> Batch:
        """The items of the next frame. Raises StopAsyncIteration after the end of the `async with` block."""
        if self._returned == len(self._frame):
            await self._next_frame()
        received = self._frame[self._returned :]
        self._returned = len(self._frame)
        self._unconfirmed = len(received)
        return Batch(tuple(item for item, _ in received), tuple(line for _, line in received))

    async def _next_frame(self) -> None:
        """Receive until a frame has items. A caller that requests more has processed the previous frame."""
        while self._returned == len(self._frame):
            self._save(self._returned)
            if self._is_closed:
                raise StopAsyncIteration
            self._frame, self._returned, self._unconfirmed = [], 0, 0
            self._frame = await self._receiver.receive()

    def _save(self, processed: int) -> None:
        """Save the resume point after this number of items of the frame."""
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
