"""Deliveries: what is owed to one destination through one outbound channel, and what became of it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, Literal
from uuid import UUID

import msgspec

# `skipped`: a rule decided against sending, and `error` names it.
Status = Literal["pending", "sent", "failed", "skipped"]

# How an attempt ended: accepted by the peer; to be tried again; refused for good; or the peer itself (a mail server, a
# push service) was unavailable or refused us, whatever we had to send.
Result = Literal["sent", "deferred", "refused", "server"]

# The rule by which a delivery without a destination is skipped.
NO_ADDRESS: Final = "no_address"

# Delay between two attempts, at most.
MAX_DELAY_S: Final = 3_600.0

# Longer subjects are cut: mail clients show less.
MAX_SUBJECT_LENGTH: Final = 255

# Characters kept of what a peer says at an attempt.
MAX_REPLY_LENGTH: Final = 500

# Characters examined for each one that is kept.
_EXAMINED_PER_KEPT: Final = 8

# ZERO WIDTH NON-JOINER and JOINER, which Persian and some emoji are written with.
_JOINERS: Final = frozenset("\u200c\u200d")


class Item(msgspec.Struct, frozen=True):
    """One event in a delivery, with the words of its route.

    `payload` is the event's JSON as it was published. `subject` is one line that says what the item is about, None
    where the event lacks a field that the route's subject needs. `template` names what the channel renders the item
    with; it is empty for channels without templates. `reference` is the key that the delivery log finds the item by.
    `options` is whatever else the channel needs from the route: values that JSON can hold.
    """

    origin: str
    event_id: str
    source: str
    type: str
    profile: str
    payload: str
    time: datetime
    subject: str | None
    template: str = ""
    reference: str | None = None
    options: Mapping[str, Any] = {}


class PlannedDelivery(msgspec.Struct, frozen=True):
    """A delivery that a plan asks for. `user` is whose preferences apply; `fault` says why it can never be sent; it is
    not sent before `due_at`, if that is given."""

    channel: str
    destination: str
    item: Item
    user: str | None = None
    fault: str | None = None
    due_at: datetime | None = None

    @property
    def key(self) -> tuple[str, str, str, str]:
        """Identifies the delivery of an event: channel, destination, origin, event id."""
        return self.channel, self.destination, self.item.origin, self.item.event_id


class Delivery(msgspec.Struct, frozen=True):
    """Something owed to one destination, on record.

    `destination` is an address as the channel understands it, or `user:<id>`. `items` holds one event, or several in a
    digest. `due_at` is when a pending delivery is tried next. `attempts` counts all attempts, `counted_attempts` those
    that count against it since it last became pending: a peer that accepts nothing from us does not count. `error`
    says why the delivery failed, was skipped or is held, or how the last attempt went wrong. `unrendered_since` is
    when, since the last attempt, a node first had no usable template for it.
    """

    id: UUID
    channel: str
    destination: str
    items: tuple[Item, ...]
    status: Status
    error: str | None
    created_at: datetime
    updated_at: datetime
    due_at: datetime
    sent_at: datetime | None = None
    attempts: int = 0
    counted_attempts: int = 0
    user: str | None = None
    unrendered_since: datetime | None = None

    @property
    def item(self) -> Item:
        """The first item; the only one, unless the delivery is a digest."""
        return self.items[0]

    @property
    def key(self) -> tuple[str, str, str, str]:
        """Identifies the delivery of an event: channel, destination, origin, event id."""
        return self.channel, self.destination, self.item.origin, self.item.event_id

    @property
    def retryable(self) -> bool:
        """Whether an administrator may make it pending again: it has failed, or it had no destination."""
        return self.status == "failed" or (self.status == "skipped" and self.error == NO_ADDRESS)


class Attempt(msgspec.Struct, frozen=True):
    """One try at a delivery. `code` and `text` are the peer's last reply, or `text` alone says what happened; `seconds`
    is how long it took."""

    at: datetime
    seconds: float
    result: Result
    code: int | None
    text: str

    @property
    def reply(self) -> str:
        """The peer's reply with its code, or what happened."""
        return self.text if self.code is None else f"{self.code} {self.text}"


def subject_line(text: str) -> str:
    """A subject of one line and at most MAX_SUBJECT_LENGTH characters: a line break would begin another header."""
    return one_line(text, MAX_SUBJECT_LENGTH)


def one_line(text: str, max_length: int) -> str:
    """The text as one line that can be stored, shown and sent: without invisible characters (except joiners), and cut
    at `max_length`."""
    text = text.lstrip()
    # Text may be hostile: a bounded part of it is examined, unless nearly all of it is invisible.
    start = text[: _EXAMINED_PER_KEPT * max_length]
    visible = (character if character.isprintable() or character in _JOINERS else " " for character in start)
    line = " ".join("".join(visible).split())
    return line if len(line) <= max_length and len(start) == len(text) else f"{line[: max_length - 1]}…"


def delay_after(counted_attempts: int, first_s: float, chance: float) -> float:
    """Seconds until the next attempt: `first_s`, doubled with each counted attempt, up to MAX_DELAY_S. `chance`, from 0
    to 1, spreads them over the upper half, so that deliveries deferred together are not tried together."""
    full: float = min(first_s * 2.0 ** min(counted_attempts - 1, 32), MAX_DELAY_S)
    return full * (0.5 + chance / 2)
