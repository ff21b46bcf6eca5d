"""Converts a batch of plans to the rows that a recording stores, without duplicates within the batch.

If events of two sources have the same origin and event id, one of them is stored under its qualified origin: the origin
with the event's source as a prefix (see domain.event_identity). A content is what one route made of one event (see
domain.streams); the rows of all recipients of a notification share one content.
"""

import hashlib
from collections.abc import Callable, Container, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from domain.deliveries import PlannedDelivery
from domain.event_identity import qualified_origin
from domain.notification_state import NotificationState
from domain.plans import DeadLetter, Plan
from domain.preferences import DEFAULT, Preferences
from domain.streams import Content, SignOut


class Counter(msgspec.Struct):
    """The counters of one inbox or feed. A recording locks and reads them, changes them in this object, and writes them
    back.

    `last`, `pruned`, `unread`, `not_before` and `seen_unread` are the fields of Head. `qualified` is the position of
    the latest entry that was stored under a qualified origin (see domain.event_identity). `added` is the number of
    entries that this recording adds. `preferences` are, for an inbox, those preferences of its owner that affect
    arriving notifications.
    """

    name: str
    last: int
    pruned: int
    qualified: int
    unread: int = 0
    not_before: datetime | None = None
    seen_unread: int = 0
    added: int = 0
    preferences: Preferences = DEFAULT

    @property
    def has_qualified(self) -> bool:
        """Whether entries under a qualified origin may still be stored: the latest one is newer than the last pruned
        position."""
        return self.qualified > self.pruned


class Arrivals(msgspec.Struct):
    """The rows to insert into `notifications` or `broadcasts`, as one list for each column: the first row is
    `numbers[0]`, `ids[0]`, `names[0]` and so on. `names` are the users or feeds. Rows can share a content (what one
    route made of one event): `numbers` has, for each row, the index of its content in `contents`, counted from 1."""

    contents: list[Content]
    numbers: list[int] = []
    ids: list[UUID] = []
    names: list[str] = []
    seqs: list[int] = []
    states: list[NotificationState] = []
    # By the index of a content: the index of its copy under the qualified origin.
    _qualified: dict[int, int] = {}

    def qualified(self, index: int) -> int:
        """Returns the index in `contents` of a copy of the content `contents[index]` whose origin is the qualified one
        (see domain.event_identity). The first call for an index adds this copy."""
        found = self._qualified.get(index)
        if found is None:
            content = self.contents[index]
            origin = qualified_origin(content.origin, content.source)
            found = self._qualified[index] = len(self.contents)
            self.contents = [*self.contents, msgspec.structs.replace(content, origin=origin)]
        return found

    def add(self, number: int, id: UUID, name: str, seq: int, state: NotificationState) -> None:
        """Adds a row. `number` is the index of its content, counted from 1; `name` is the user or feed."""
        self.numbers.append(number)
        self.ids.append(id)
        self.names.append(name)
        self.seqs.append(seq)
        self.states.append(state)


class StreamRows:
    """The rows of a batch for inboxes, or those for feeds, before events that are already stored are removed. Each of
    `rows` is a tuple: user or feed, index of the content in `contents`, index of the plan.

    If the batch repeats an event, only the first occurrence has a row for the same user or feed. Events of different
    sources with the same origin and event id all have rows; `contested` is True if there are such events.
    """

    def __init__(self) -> None:
        self.contents: list[Content] = []
        self.rows: list[tuple[str, int, int]] = []
        self.contested = False
        self._sources: dict[tuple[str, str, str], str] = {}

    def add(self, names: Sequence[str], content: Content, plan: int) -> None:
        index = len(self.contents)
        self.contents.append(content)
        sources, source = self._sources, content.source
        for name in names:
            key = (name, content.origin, content.event_id)
            known = sources.get(key)
            if known is None:
                sources[key] = source
                self.rows.append((name, index, plan))
            elif known != source:
                self.contested = True
                self.rows.append((name, index, plan))

    @property
    def names(self) -> list[str]:
        """The users or feeds of the rows, without repetitions."""
        return list(dict.fromkeys(name for name, _, _ in self.rows))

    def keys(self, names: Container[str], origin: Callable[[Content], str]) -> list[tuple[str, str, str]]:
        """Returns the keys (user or feed, origin, event id) of those rows whose user or feed is in `names`. `origin`
        computes the origin of each key from the content."""
        contents = ((name, self.contents[index]) for name, index, _ in self.rows if name in names)
        return [(name, origin(content), content.event_id) for name, content in contents]


class BatchedDeadLetter(msgspec.Struct):
    """The dead letter of one event of the batch. If the batch repeats the event, `letter` is that of the last
    occurrence, `times` the number of occurrences, and `plan` the index of the first plan. With `by_source`, events of
    different sources with the same origin and id are different events."""

    letter: DeadLetter
    plan: int
    times: int = 1
    by_source: bool = True

    @property
    def source(self) -> str:
        """The source of the event, as the column `source` stores it: with NUL and lone surrogates replaced."""
        return _storable(self.letter.message.source)

    def with_origin(self, origin: str) -> "BatchedDeadLetter":
        """Returns a copy with another origin."""
        return msgspec.structs.replace(self, letter=msgspec.structs.replace(self.letter, origin=origin))


class BatchedDelivery(msgspec.Struct, frozen=True):
    """A planned delivery of the batch. `plan` is the index of its plan. With `by_source`, events of different sources
    with the same origin and id are different events."""

    planned: PlannedDelivery
    plan: int
    by_source: bool


class Batch:
    """Several plans, converted to the rows to store. `inboxes` are the rows of notifications, `feeds` those of
    broadcasts.

    `sign_outs` has pairs: a sign-out, and the index of its plan. `deliveries` has one delivery for each channel,
    destination, event and source; `letters` has one dead letter for each event and source. `intended` has the indexes
    of the plans that have anything to store.
    """

    def __init__(self, plans: Sequence[Plan]) -> None:
        self.plans = plans
        self.inboxes = StreamRows()
        self.feeds = StreamRows()
        self.sign_outs: list[tuple[SignOut, int]] = []
        self.deliveries: dict[tuple[str, ...], BatchedDelivery] = {}
        self.letters: dict[tuple[str, ...], BatchedDeadLetter] = {}
        self.intended: set[int] = set()
        for number, plan in enumerate(plans):
            for addressed in plan.addressed:
                self.intended.add(number)
                self.inboxes.add(addressed.users, addressed.content, number)
            for broadcast in plan.broadcasts:
                self.intended.add(number)
                self.feeds.add((broadcast.feed,), broadcast.content, number)
            for sign_out in plan.sign_outs:
                self.intended.add(number)
                self.sign_outs.append((sign_out, number))
            for planned in plan.deliveries:
                self.intended.add(number)
                key = (*planned.key, planned.item.source)
                self.deliveries.setdefault(key, BatchedDelivery(planned, number, plan.by_source))
            if (letter := plan.dead_letter) is not None:
                self.intended.add(number)
                letter_key = (letter.origin, letter.event_id, letter.message.source)
                known_letter = self.letters.setdefault(letter_key, BatchedDeadLetter(letter, number, 0, plan.by_source))
                known_letter.letter = letter
                known_letter.times += 1

    @property
    def users(self) -> list[str]:
        """The users whose inboxes have to be locked: those with new notifications or sign-outs, without repetitions."""
        return list(dict.fromkeys([*self.inboxes.names, *(sign_out.user for sign_out, _ in self.sign_outs)]))


def identity(origin: str, event_id: str) -> bytes:
    """Returns the key of an event's dead letter in the database: the SHA-256 digest of origin and event id. A digest,
    because the event id may contain characters that a text column refuses."""
    return hashlib.sha256(msgspec.msgpack.encode((origin, event_id))).digest()


def dead_letter_columns(kept: BatchedDeadLetter) -> dict[str, Any]:
    """Returns the columns of a dead letter's row: `letter` with the complete dead letter as MessagePack, and the fields
    that can be searched as text."""
    letter = kept.letter
    return {
        "times": kept.times,
        "source": _storable(letter.message.source),
        "event_id": _storable(letter.event_id),
        "reason": letter.reason,
        "detail": _storable(letter.detail),
        "letter": msgspec.msgpack.encode(letter, enc_hook=dict),  # headers may be a read-only view
    }


def decode_dead_letter(packed: bytes) -> DeadLetter:
    return _decode(packed)


def _storable(text: str) -> str:
    """Replaces the characters that a database might refuse in a text: NUL by U+FFFD, lone surrogates by `?`."""
    return text.replace("\0", "\ufffd").encode(errors="replace").decode()


_decode: Final = msgspec.msgpack.Decoder(DeadLetter).decode
