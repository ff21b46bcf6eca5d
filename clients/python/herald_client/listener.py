"""Listening: what callers use."""

import os
from collections.abc import AsyncIterator, Mapping, Sequence
from ssl import SSLContext
from types import TracebackType
from typing import Self

import msgspec

from herald_client.addresses import address
from herald_client.attempts import Attempts
from herald_client.backoff import Backoff
from herald_client.cursors import CursorFile, CursorInMemory, CursorStore
from herald_client.objects import Item
from herald_client.places import Place, Places, advanced
from herald_client.reception import Reception, Told
from herald_client.tokens import Given, Provider, Tokens


class Batch(msgspec.Struct, frozen=True):
    """What came in one frame, or one item about the connection. `lines` are the same objects as they were sent, one
    each; "" for an Away, which was not."""

    items: tuple[Item, ...]
    lines: tuple[str, ...]


class Listener:
    """Everything that happens to a user's inbox and to feeds, in order, for as long as the caller goes on asking.

    `urls` are nodes of one Herald, or its load balancer. `token` is a text, a Token, or a callable that returns one,
    awaited where need be; it is called when a token is needed, and before one ends. `cursor` is where to keep the
    place: a file's path, or a CursorStore; without it the place lasts as long as the listener. Without a place, the
    listener begins with what happens from now on. `user` is believed in open mode only.

    An item counts as processed when the next one is asked for, or the `async with` block is left without an exception;
    what is processed is remembered by whole positions, after each frame. So each item comes exactly once, but for a
    crash between processing and remembering: then the last frame's come again, and delivery is at least once. Gaps are
    told: by `Hello.gap`, or a `Gap`.

    Iteration raises Stopped where the service says not to come back, whatever a token provider raises, and OSError
    where the cursor can't be saved. It may be cancelled, and gone on with, without losing anything; an attempt to
    connect begins anew then. There is no task or thread behind it, but for renewing tokens: who does not ask for long
    is sent away by the service, and resumes.
    """

    def __init__(
        self,
        urls: str | Sequence[str],
        *,
        user: str | None = None,
        token: Given | Provider | None = None,
        feeds: Sequence[str] | None = None,
        types: Sequence[str] | None = None,
        cursor: CursorStore | str | os.PathLike[str] | None = None,
        headers: Mapping[str, str] | None = None,
        ssl: SSLContext | None = None,
        backoff: Backoff | None = None,
    ) -> None:
        """Raises ValueError for a URL that is none."""
        several = [urls] if isinstance(urls, str) else urls
        self._attempts = Attempts([address(url, user, feeds, types) for url in several], backoff or Backoff())
        self._places = Places()
        self._reception = Reception(self._attempts, Tokens(token), self._places, headers or {}, ssl)
        self._store = _store(cursor)
        self._saved: Place | None = None
        self._frame: list[Told] = []
        self._handed = 0  # how much of the frame
        self._unsure = 0  # how much of it was handed over last, and may not have been processed
        self._is_over = False

    @property
    def url(self) -> str:
        """The address that it is connected to, or tries next, without its query."""
        return self._attempts.url

    @property
    def repeats(self) -> int:
        """How many entries came that had come before, and were dropped: of a service that keeps its word, none."""
        return self._reception.repeats

    async def __aenter__(self) -> Self:
        """Raises CursorUnreadable."""
        self._saved = self._store.load()
        self._places.begin(self._saved)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_over = True
        try:
            self._remember(self._handed if kind is None else self._handed - self._unsure)
        finally:
            await self._reception.close()

    def __aiter__(self) -> AsyncIterator[Item]:
        return self

    async def __anext__(self) -> Item:
        if self._handed == len(self._frame):
            await self._next_frame()
        item, _ = self._frame[self._handed]
        self._handed += 1
        self._unsure = 1
        return item

    def batches(self) -> AsyncIterator[Batch]:
        """The same by frames: quicker, where there is much, and with the text of each object."""
        return _Batches(self)

    async def next_batch(self) -> Batch:
        """Raises StopAsyncIteration behind the end of the `async with` block."""
        if self._handed == len(self._frame):
            await self._next_frame()
        told = self._frame[self._handed :]
        self._handed = len(self._frame)
        self._unsure = len(told)
        return Batch(tuple(item for item, _ in told), tuple(line for _, line in told))

    async def _next_frame(self) -> None:
        """Gets one with something in it. Whoever asks for more has processed what there was."""
        while self._handed == len(self._frame):
            self._remember(self._handed)
            if self._is_over:
                raise StopAsyncIteration
            self._frame, self._handed, self._unsure = [], 0, 0
            self._frame = await self._reception.receive()

    def _remember(self, processed: int) -> None:
        """Saves the place of one who has processed so much of the frame."""
        place = self._places.place
        if processed < len(self._frame):
            done, rest = ([item for item, _ in part] for part in (self._frame[:processed], self._frame[processed:]))
            place = advanced(self._saved, done, rest) if self._saved is not None else None
        if place is not None and place != self._saved:
            self._store.save(place)
            self._saved = place


class _Batches(AsyncIterator[Batch]):
    """No generator: that would be over once it is cancelled."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener

    async def __anext__(self) -> Batch:
        return await self._listener.next_batch()


def _store(cursor: CursorStore | str | os.PathLike[str] | None) -> CursorStore:
    if cursor is None:
        return CursorInMemory()
    return CursorFile(cursor) if isinstance(cursor, str | os.PathLike) else cursor
