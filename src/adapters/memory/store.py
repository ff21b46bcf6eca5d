"""The store in memory: bounded, gone with the process. For trying Herald, for unit tests, and as the contract's
plainest reading."""

from collections import deque
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final

import msgspec

from application.ports.clock import IdFactory
from application.ports.store import KeptDeadLetter, Page, Recorded
from domain.planning import DeadLetter, Plan
from domain.positions import Head
from domain.streams import Content, Entry, SignOut, StreamName, feed, inbox_of, is_inbox

_EMPTY: Final = Head()


class Limits(msgspec.Struct, frozen=True):
    """How much is kept. Beyond a limit the oldest go first: of the stream, of all entries, of the dead letters."""

    entries_per_stream: int = 10_000
    bytes: int = 256 * 1024 * 1024
    dead_letters: int = 10_000
    dead_letter_bytes: int = 64 * 1024 * 1024


class _Stream:
    """One inbox or feed. `entries` by seq, without gaps from `pruned` + 1 to `last`."""

    __slots__ = ("entries", "events", "last", "pruned", "unread")

    def __init__(self) -> None:
        self.last = 0
        self.pruned = 0
        self.unread = 0
        self.entries: dict[int, Entry] = {}
        self.events: set[tuple[str, str]] = set()


class MemoryStore:
    """Implements Store. Everything between two awaits is one transaction."""

    def __init__(self, ids: IdFactory, limits: Limits | None = None) -> None:
        self._ids = ids
        self._limits = limits or Limits()
        self._epoch = ids.new_id().hex[-12:]
        self._streams: dict[StreamName, _Stream] = {}
        self._oldest: deque[StreamName] = deque()  # the stream of every entry kept, in the order of storing
        self._bytes = 0
        self._sign_outs: dict[str, datetime] = {}
        self._letter_bytes = 0
        self._letters: deque[KeptDeadLetter] = deque()
        self._lettered: set[tuple[str, str]] = set()

    async def epoch(self) -> str:
        return self._epoch

    async def record(self, plans: Sequence[Plan], now: datetime) -> Recorded:
        entries: list[Entry] = []
        sign_outs: list[SignOut] = []
        letters: list[DeadLetter] = []
        duplicates = 0
        for plan in plans:
            before = len(entries) + len(sign_outs) + len(letters)
            intended = len(plan.broadcasts) + len(plan.sign_outs)
            for addressed in plan.addressed:
                intended += len(addressed.users)
                for user in addressed.users:
                    self._append(inbox_of(user), addressed.content, now, entries)
            for broadcast in plan.broadcasts:
                self._append(feed(broadcast.feed), broadcast.content, now, entries)
            sign_outs.extend(sign_out for sign_out in plan.sign_outs if self._sign_out(sign_out))
            if plan.dead_letter is not None:
                intended += 1
                if self._keep_letter(plan.dead_letter, now):
                    letters.append(plan.dead_letter)
            if intended and before == len(entries) + len(sign_outs) + len(letters):
                duplicates += 1
        while self._bytes > self._limits.bytes and self._oldest:
            self._prune(self._streams[self._oldest.popleft()])
        return Recorded(tuple(entries), tuple(sign_outs), tuple(letters), duplicates)

    async def heads(self, streams: Iterable[StreamName]) -> dict[StreamName, Head]:
        return {name: self._head(name) for name in streams}

    async def arrivals(self, stream: StreamName, after: int, limit: int) -> Page:
        kept = self._streams.get(stream)
        if kept is None:
            return Page((), after, _EMPTY)
        first = max(after, kept.pruned) + 1
        upto = max(min(first + limit - 1, kept.last), after)
        return Page(tuple(kept.entries[seq] for seq in range(first, upto + 1)), upto, self._head(stream))

    async def changes(self, stream: StreamName, after: int, limit: int) -> Page:
        # Nothing can be read or archived here yet, so arrivals are all the changes there are.
        return await self.arrivals(stream, after, limit)

    async def not_before(self, user: str) -> datetime | None:
        return self._sign_outs.get(user)

    async def dead_letters(self, limit: int) -> tuple[KeptDeadLetter, ...]:
        return tuple(self._letters[-1 - index] for index in range(min(limit, len(self._letters))))

    async def ping(self) -> None:
        return

    def _head(self, name: StreamName) -> Head:
        kept = self._streams.get(name)
        not_before = self._sign_outs.get(name.removeprefix("inbox:")) if is_inbox(name) else None
        if kept is None:
            return _EMPTY if not_before is None else Head(not_before=not_before)
        return Head(kept.last, kept.pruned, not_before)

    def _append(self, name: StreamName, content: Content, now: datetime, entries: list[Entry]) -> None:
        kept = self._streams.get(name)
        if kept is None:
            kept = self._streams[name] = _Stream()
        event = (content.origin, content.event_id)
        if event in kept.events:
            return
        kept.events.add(event)
        kept.last += 1
        kept.unread += 1
        unread = kept.unread if is_inbox(name) else 0
        entry = Entry(name, kept.last, kept.last, self._ids.new_id(), content, now, unread=unread)
        kept.entries[entry.seq] = entry
        entries.append(entry)
        self._bytes += entry.weight
        if len(kept.entries) > self._limits.entries_per_stream:
            self._prune(kept)
        else:
            # One name for each entry kept: an entry that took its predecessor's place takes its name as well.
            self._oldest.append(name)

    def _prune(self, kept: _Stream) -> None:
        kept.pruned += 1
        entry = kept.entries.pop(kept.pruned)
        kept.events.discard((entry.content.origin, entry.content.event_id))
        kept.unread -= 1
        self._bytes -= entry.weight

    def _sign_out(self, sign_out: SignOut) -> bool:
        known = self._sign_outs.get(sign_out.user)
        if known is not None and known >= sign_out.not_before:
            return False
        self._sign_outs[sign_out.user] = sign_out.not_before
        return True

    def _keep_letter(self, letter: DeadLetter, now: datetime) -> bool:
        event = (letter.origin, letter.event_id)
        if event in self._lettered:
            return False
        self._lettered.add(event)
        self._letters.append(KeptDeadLetter(self._ids.new_id(), now, letter))
        self._letter_bytes += _letter_weight(letter)
        limits = self._limits
        while len(self._letters) > limits.dead_letters or self._letter_bytes > limits.dead_letter_bytes:
            oldest = self._letters.popleft().letter
            self._lettered.discard((oldest.origin, oldest.event_id))
            self._letter_bytes -= _letter_weight(oldest)
        return True


def _letter_weight(letter: DeadLetter) -> int:
    return len(letter.message.body or b"") + 1_000
