"""A batch of plans as rows, without duplicates within the batch."""

import hashlib
from collections.abc import Callable, Container, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from domain.deliveries import PlannedDelivery
from domain.event_identity import qualified_origin
from domain.notification_state import NotificationState
from domain.planning import DeadLetter, Plan
from domain.preferences import DEFAULT, Preferences
from domain.streams import Content, SignOut


class Counter(msgspec.Struct):
    """A stream's locked counters, as the transaction changes them. `added` is the number of entries that it has added,
    `qualified` the position of the latest entry stored under a qualified origin.
    """

    name: str
    last: int
    pruned: int
    qualified: int
    unread: int = 0
    not_before: datetime | None = None
    added: int = 0
    preferences: Preferences = DEFAULT

    @property
    def has_qualified(self) -> bool:
        """Whether an entry with a qualified origin may still be stored."""
        return self.qualified > self.pruned


class Arrivals(msgspec.Struct):
    """New rows of one table, column by column. `numbers` are indexes into `contents`, counted from 1."""

    contents: list[Content]
    numbers: list[int] = []
    ids: list[UUID] = []
    names: list[str] = []
    seqs: list[int] = []
    states: list[NotificationState] = []
    _qualified: dict[int, int] = {}

    def qualified(self, index: int) -> int:
        """The index of the same content under its qualified origin."""
        found = self._qualified.get(index)
        if found is None:
            content = self.contents[index]
            origin = qualified_origin(content.origin, content.source)
            found = self._qualified[index] = len(self.contents)
            self.contents = [*self.contents, msgspec.structs.replace(content, origin=origin)]
        return found

    def add(self, number: int, id: UUID, name: str, seq: int, state: NotificationState) -> None:
        self.numbers.append(number)
        self.ids.append(id)
        self.names.append(name)
        self.seqs.append(seq)
        self.states.append(state)


class Part:
    """The rows of a batch for inboxes, or for feeds. `rows` are (user or feed, index of the content, index of the
    plan). An identity occurs once per user or feed, unless events of different sources share it: the part is
    `contested` then.
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
        return list(dict.fromkeys(name for name, _, _ in self.rows))

    def keys(self, names: Container[str], origin: Callable[[Content], str]) -> list[tuple[str, str, str]]:
        """The keys of the rows of these users or feeds: user or feed, origin, event id."""
        contents = ((name, self.contents[index]) for name, index, _ in self.rows if name in names)
        return [(name, origin(content), content.event_id) for name, content in contents]


class BatchedDeadLetter(msgspec.Struct):
    """The last dead letter of one event in the batch. `times` is the number of its occurrences in the batch;
    `by_source` is copied from its plan.
    """

    letter: DeadLetter
    plan: int
    times: int = 1
    by_source: bool = True

    @property
    def source(self) -> str:
        """The source as it is stored in the row."""
        return _storable(self.letter.message.source)

    def under(self, origin: str) -> "BatchedDeadLetter":
        """A copy that is stored under another origin."""
        return msgspec.structs.replace(self, letter=msgspec.structs.replace(self.letter, origin=origin))


class BatchedDelivery(msgspec.Struct, frozen=True):
    """A delivery of the batch. `by_source` is copied from its plan."""

    planned: PlannedDelivery
    plan: int
    by_source: bool


class Batch:
    """The contents of some plans, in order.

    Each of `sign_outs` is paired with the index of its plan. `deliveries` has one delivery for each destination of an
    event of one source, `letters` one dead letter for each such event. `intended` are the indexes of the plans that
    lead to anything.
    """

    def __init__(self, plans: Sequence[Plan]) -> None:
        self.plans = plans
        self.inboxes = Part()
        self.feeds = Part()
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
        """The users whose inboxes the batch changes."""
        return list(dict.fromkeys([*self.inboxes.names, *(sign_out.user for sign_out, _ in self.sign_outs)]))


def identity(origin: str, event_id: str) -> bytes:
    """The key of a dead letter's event: a digest, because a text column might refuse the id itself."""
    return hashlib.sha256(msgspec.msgpack.encode((origin, event_id))).digest()


def dead_letter_columns(kept: BatchedDeadLetter) -> dict[str, Any]:
    """The columns of a dead letter: the whole of it as MessagePack, and the searchable fields."""
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
    return text.replace("\0", "\ufffd").encode(errors="replace").decode()


_decode: Final = msgspec.msgpack.Decoder(DeadLetter).decode
