"""A batch of plans as rows: what it leads to, each row once."""

import hashlib
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from domain.deliveries import Addressee, Delivery
from domain.planning import DeadLetter, Plan
from domain.preferences import DEFAULT, Preferences
from domain.streams import Content, SignOut


class Counter(msgspec.Struct):
    """A stream's counters, locked, as the transaction moves them. `added` is how many entries it has added."""

    name: str
    last: int
    unread: int = 0
    added: int = 0
    not_before: datetime | None = None
    preferences: Preferences = DEFAULT


class Arrivals(msgspec.Struct):
    """New rows of one table, column by column. `numbers` point into `contents`, the first being 1."""

    contents: list[Content]
    numbers: list[int] = []
    ids: list[UUID] = []
    names: list[str] = []
    seqs: list[int] = []
    muted: list[bool] = []

    def add(self, number: int, id: UUID, name: str, seq: int, muted: bool) -> None:
        self.numbers.append(number)
        self.ids.append(id)
        self.names.append(name)
        self.seqs.append(seq)
        self.muted.append(muted)


class Part:
    """The inboxes' part of a batch, or the feeds'. `rows` are (user or feed, index of the content, index of the plan),
    none of them twice."""

    def __init__(self) -> None:
        self.contents: list[Content] = []
        self.rows: list[tuple[str, int, int]] = []
        self._seen: set[tuple[str, str, str]] = set()

    def add(self, names: Sequence[str], content: Content, plan: int) -> None:
        index = len(self.contents)
        self.contents.append(content)
        for name in names:
            key = (name, content.origin, content.event_id)
            if key not in self._seen:
                self._seen.add(key)
                self.rows.append((name, index, plan))

    @property
    def names(self) -> list[str]:
        return list(dict.fromkeys(name for name, _, _ in self.rows))

    @property
    def keys(self) -> list[tuple[str, str, str]]:
        """What each row is told by: user or feed, origin, event id."""
        contents = self.contents
        return [(name, contents[index].origin, contents[index].event_id) for name, index, _ in self.rows]


class Letter(msgspec.Struct):
    """A dead letter, and how often its event stands in the batch: what it says is what it said last."""

    letter: DeadLetter
    plan: int
    times: int = 1


class Batch:
    """What some plans lead to, in their order.

    `sign_outs` and `mails` stand with the index of their plan; mails are one to each address of an event, `letters` one
    of each event, by its identity.
    `intended` are the plans that lead to anything at all.
    """

    def __init__(self, plans: Sequence[Plan]) -> None:
        self.inboxes = Part()
        self.feeds = Part()
        self.sign_outs: list[tuple[SignOut, int]] = []
        self.mails: dict[tuple[str, str, str], tuple[Addressee, int]] = {}
        self.letters: dict[bytes, Letter] = {}
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
            for addressee in plan.mails:
                self.intended.add(number)
                self.mails.setdefault(mail_key(addressee), (addressee, number))
            if (letter := plan.dead_letter) is not None:
                self.intended.add(number)
                known_letter = self.letters.setdefault(identity(letter), Letter(letter, number, 0))
                known_letter.letter = letter
                known_letter.times += 1

    @property
    def users(self) -> list[str]:
        """Whose inboxes are concerned."""
        return list(dict.fromkeys([*self.inboxes.names, *(sign_out.user for sign_out, _ in self.sign_outs)]))


def mail_key(mail: Addressee | Delivery) -> tuple[str, str, str]:
    """What a delivery is told by: origin, event id, address."""
    return mail.mail.origin, mail.mail.event_id, mail.address


def identity(letter: DeadLetter) -> bytes:
    """What a dead letter's event is told by: a digest, since a text column might refuse the id itself."""
    return hashlib.sha256(msgspec.msgpack.encode((letter.origin, letter.event_id))).digest()


def letter_columns(kept: Letter) -> dict[str, Any]:
    """What a row repeats of a letter for people to look for, and all of it as MessagePack."""
    letter = kept.letter
    return {
        "times": kept.times,
        "source": _storable(letter.message.source),
        "event_id": _storable(letter.event_id),
        "reason": letter.reason,
        "detail": _storable(letter.detail),
        "letter": msgspec.msgpack.encode(letter, enc_hook=dict),  # headers may be a read-only view
    }


def read_letter(packed: bytes) -> DeadLetter:
    return _decode(packed)


def _storable(text: str) -> str:
    return text.replace("\0", "\ufffd").encode(errors="replace").decode()


_decode: Final = msgspec.msgpack.Decoder(DeadLetter).decode
