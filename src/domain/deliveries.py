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
# `server`: the peer itself (a mail server, a push service) was unavailable, or refused this sender, not the content.
Result = Literal["sent", "deferred", "refused", "server"]

# The rule in `error` of a delivery that was skipped because it has no destination.
NO_ADDRESS: Final = "no_address"

# Longer subjects are cut. Mail clients display less than this.
MAX_SUBJECT_LENGTH: Final = 255

# Longer replies of a peer are cut before they are stored.
MAX_REPLY_LENGTH: Final = 500


class Item(msgspec.Struct, frozen=True):
    """One event in a delivery, with the texts of its route.

    `payload` is the event's JSON as it was published. `subject` describes the item in one line; None if the event lacks
    a field that the route's subject needs. `template` is the name of the template with which the channel renders the
    item; empty for channels without templates. `reference` is a search key of the delivery log, for example an order
    number. `options` has further values that the channel needs from the route; they must be serialisable as JSON.
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
    """A delivery in a plan. `user` is the user whose preferences apply. `fault` says why the delivery can never be
    sent; None if it can. Nothing is sent before `due_at`, if it is set.
    """

    channel: str
    destination: str
    item: Item
    user: str | None = None
    fault: str | None = None
    due_at: datetime | None = None

    @property
    def key(self) -> tuple[str, str, str, str]:
        """The key that identifies the delivery: channel, destination, and the event's origin and id."""
        return self.channel, self.destination, self.item.origin, self.item.event_id


class Delivery(msgspec.Struct, frozen=True):
    """A stored delivery: something owed to one destination.

    `destination` is an address in the channel's format, or `user:<id>`. `items` holds one event, or several in a
    digest. `due_at` is the time of the next attempt of a pending delivery. `attempts` counts all attempts.
    `counted_attempts` counts those since the delivery was created or last retried by an administrator, except attempts
    in which the peer refused this sender. `error` says why the delivery failed, was skipped or is held, or why the last
    attempt failed. `unrendered_since` is the time at which a node first lacked a usable template for the delivery; None
    if no node has lacked one since the last attempt.
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
        """The first item. Only a digest has more."""
        return self.items[0]

    @property
    def key(self) -> tuple[str, str, str, str]:
        """The key that identifies the delivery: channel, destination, and the event's origin and id (of the first
        item).
        """
        return self.channel, self.destination, self.item.origin, self.item.event_id

    @property
    def retryable(self) -> bool:
        """Whether an administrator may make the delivery pending again: it has failed, or was skipped because it has no
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
        """The peer's reply with its code; without a reply, a description of what happened."""
        return self.text if self.code is None else f"{self.code} {self.text}"


def subject_line(text: str) -> str:
    """Returns the text as a subject: one line of at most MAX_SUBJECT_LENGTH characters. In a mail, a line break would
    begin another header.
    """
    return one_line(text, MAX_SUBJECT_LENGTH)
