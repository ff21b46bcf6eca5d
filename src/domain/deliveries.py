"""Deliveries: something owed to one destination through one outbound channel, with its status and attempts."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, Literal
from uuid import UUID

import msgspec

# `skipped`: a rule decided against sending, and `error` names it.
Status = Literal["pending", "sent", "failed", "skipped"]

# The result of an attempt. `sent`: accepted by the peer. `deferred`: to be retried. `refused`: permanently rejected.
# `server`: the peer itself (a mail server, a push service) was unavailable or rejected us regardless of the content.
Result = Literal["sent", "deferred", "refused", "server"]

# The rule by which a delivery without a destination is skipped.
NO_ADDRESS: Final = "no_address"

# Maximum delay between two attempts.
MAX_DELAY_S: Final = 3_600.0

# Longer subjects are cut. Mail clients display less than this.
MAX_SUBJECT_LENGTH: Final = 255

# Characters stored of a peer's reply to an attempt.
MAX_REPLY_LENGTH: Final = 500

# Characters examined for each character kept.
_EXAMINED_PER_KEPT: Final = 8

# ZERO WIDTH NON-JOINER and JOINER, which Persian and some emoji are written with.
_JOINERS: Final = frozenset("\u200c\u200d")


class Item(msgspec.Struct, frozen=True):
    """One event in a delivery, with the texts of its route.

    `payload` is the event's JSON as it was published. `subject` describes the item in one line; it is None if the event
    lacks a field that the route's subject needs. `template` names the template that the channel renders the item with;
    it is empty for channels without templates. `reference` is the key by which the delivery log finds the item.
    `options` holds further values that the channel needs from the route; they must be serialisable as JSON.
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
    """A delivery in a plan. `user` is the user whose preferences apply. `fault` is the reason why it can never be sent,
    or None. It is not sent before `due_at`, if given.
    """

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
    """A stored delivery: something owed to one destination.

    `destination` is an address in the channel's format, or `user:<id>`. `items` holds one event, or several in a
    digest. `due_at` is the time of the next attempt of a pending delivery. `attempts` counts all attempts;
    `counted_attempts` counts those since it last became pending, without the attempts at which the peer accepted
    nothing from us. `error` says why the delivery failed, was skipped or is held, or why the last attempt failed.
    `unrendered_since` is the time when a node first had no usable template for it, since the last attempt.
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
        """The first item. It is the only one unless the delivery is a digest."""
        return self.items[0]

    @property
    def key(self) -> tuple[str, str, str, str]:
        """Identifies the delivery of an event: channel, destination, origin, event id."""
        return self.channel, self.destination, self.item.origin, self.item.event_id

    @property
    def retryable(self) -> bool:
        """Whether an administrator may make it pending again: it has failed, or was skipped for lack of a
        destination.
        """
        return self.status == "failed" or (self.status == "skipped" and self.error == NO_ADDRESS)


class Attempt(msgspec.Struct, frozen=True):
    """One try at a delivery. `code` and `text` are the peer's last reply; without a `code`, `text` describes what
    happened. `seconds` is the duration.
    """

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
    """The text as a subject: one line of at most MAX_SUBJECT_LENGTH characters. A line break would begin another
    header.
    """
    return one_line(text, MAX_SUBJECT_LENGTH)


def one_line(text: str, max_length: int) -> str:
    """The text as one line that is safe to store, display and send: invisible characters removed (except joiners), and
    cut at `max_length` characters.
    """
    text = text.lstrip()
    # The text may be hostile, so a bounded part of it is examined, unless nearly all of it is invisible.
    start = text[: _EXAMINED_PER_KEPT * max_length]
    visible = (character if character.isprintable() or character in _JOINERS else " " for character in start)
    line = " ".join("".join(visible).split())
    return line if len(line) <= max_length and len(start) == len(text) else f"{line[: max_length - 1]}…"


def delay_after(counted_attempts: int, first_s: float, chance: float) -> float:
    """Seconds until the next attempt: `first_s`, doubled with each counted attempt, up to MAX_DELAY_S. `chance`, from 0
    to 1, spreads them over the upper half, so that deliveries deferred together are not tried together."""
    full: float = min(first_s * 2.0 ** min(counted_attempts - 1, 32), MAX_DELAY_S)
    return full * (0.5 + chance / 2)
