"""Deliveries: what is to be sent to one destination through one outbound channel, with its status and attempts."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, Literal
from uuid import UUID

import msgspec

from domain.safe_text import one_line

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
    """One event in a delivery, with everything that the channel needs to send it.

    `payload` is the payload's JSON text as it was published. `subject` describes the item in one line, such as the
    subject of a mail; it is None if the event lacks a payload field that the subject of the route contains. `template`
    is the name of the template file from which the channel renders the item; empty for channels without template files.
    `reference` is a value by which the delivery can be found in the delivery log, such as an order number. `options`
    are further values that the channel takes from the route; they must be serialisable as JSON. `url` is the address
    that the event's notification links to (see domain.notification_urls); None if there is none.
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
    url: str | None = None


class PlannedDelivery(msgspec.Struct, frozen=True):
    """A delivery in a plan, which is not stored yet. `user` is the user whose preferences decide whether the delivery
    is sent; if None, no preferences apply. `fault` is the reason why it can never be sent; None if it can. It is sent
    at `due_at` at the earliest; if None, as soon as possible.
    """

    channel: str
    destination: str
    item: Item
    user: str | None = None
    fault: str | None = None
    due_at: datetime | None = None

    @property
    def key(self) -> tuple[str, str, str, str]:
        """Identifies the delivery: its channel and destination, and the origin and id of its event."""
        return self.channel, self.destination, self.item.origin, self.item.event_id


class Delivery(msgspec.Struct, frozen=True):
    """A stored delivery: one or more events to be sent to one destination through one outbound channel.

    `destination` is an address in the channel's format, or `user:<id>`. `items` has one event; only a digest, which is
    one message about several events, has more. `user` is the user whose preferences apply. `due_at` is the earliest
    time of the next attempt, if the delivery is pending. `error` is the reason why the delivery failed, was skipped or
    is held, or why the last attempt failed.

    `attempts` is the number of all attempts. `counted_attempts` is the number of attempts that count towards the limit
    after which the delivery fails: those since the delivery was stored or an administrator last retried it. An attempt
    does not count if the peer refused this sender, or if the delivery could not be prepared yet.

    `unrendered_since` is the time at which a node first found that it has no usable template for the delivery. An
    attempt, a retry by an administrator, and a node that has the template reset it to None.
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
        """The first event of the delivery, which is the only one unless the delivery is a digest."""
        return self.items[0]

    @property
    def key(self) -> tuple[str, str, str, str]:
        """Identifies the delivery: its channel and destination, and the origin and id of its first event."""
        return self.channel, self.destination, self.item.origin, self.item.event_id

    @property
    def retryable(self) -> bool:
        """Whether an administrator may retry the delivery: it has failed, or it was skipped because it has no
        destination.
        """
        return self.status == "failed" or (self.status == "skipped" and self.error == NO_ADDRESS)


class Attempt(msgspec.Struct, frozen=True):
    """One try at sending a delivery. It began at `at` and took `seconds`. `code` and `text` are the peer's last reply.
    If the peer gave no code, `code` is None, and `text` is its reply or a description of what happened, such as a
    timeout.
    """

    at: datetime
    seconds: float
    result: Result
    code: int | None
    text: str

    @property
    def reply(self) -> str:
        """The peer's last reply, such as `250 OK`; without a code, only the text."""
        return self.text if self.code is None else f"{self.code} {self.text}"


def subject_line(text: str) -> str:
    """Returns the text as the subject of a mail: one line of at most MAX_SUBJECT_LENGTH characters. A line break in a
    subject would begin another header.
    """
    return one_line(text, MAX_SUBJECT_LENGTH)
