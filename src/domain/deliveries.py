"""Deliveries: something owed to one destination through one outbound channel, with its status and attempts."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, Literal
from uuid import UUID

import msgspec

from domain.text import one_line

# `skipped`: a rule decided against sending, and `error` names it.
Status = Literal["pending", "sent", "failed", "skipped"]

# The result of an attempt. `sent`: accepted by the peer. `deferred`: to be retried. `refused`: permanently rejected.
# `server`: the peer itself (a mail server, a push service) was unavailable or rejected us regardless of the content.
Result = Literal["sent", "deferred", "refused", "server"]

# The rule by which a delivery without a destination is skipped.
NO_ADDRESS: Final = "no_address"

# Longer subjects are cut. Mail clients display less than this.
MAX_SUBJECT_LENGTH: Final = 255

# Characters stored of a peer's reply to an attempt.
MAX_REPLY_LENGTH: Final = 500


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
