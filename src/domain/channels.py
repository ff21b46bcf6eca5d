"""Outbound channels in routes: a channel's table in a route, and the deliveries that it plans for an event."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar

import msgspec

from domain.deliveries import Item
from domain.events import Event
from domain.sent_fields import SentFields


class ChannelPlan(msgspec.Struct, frozen=True):
    """What a channel's table plans for one event: one delivery to each destination. A delivery to an empty destination
    is stored as skipped. `subject`, `template` and `options` are copied into the item. Nothing is sent before `due_at`.
    """

    destinations: Sequence[str]
    subject: str | None
    template: str = ""
    user: str | None = None
    options: Mapping[str, Any] = {}
    due_at: datetime | None = None


class ChannelTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Base of the tables that configure an outbound channel in a route.

    A subclass declares the keys of its table as fields. `channel` is the channel's name, which is also the key of the
    table in a route. All methods are pure; they run when routes are read and when events are planned.
    """

    channel: ClassVar[str]

    @classmethod
    def read(cls, value: object) -> "ChannelTable":
        """Read the table from its TOML value. Raises msgspec.ValidationError."""
        return msgspec.convert(value, cls)

    @property
    def words(self) -> Mapping[str, str]:
        """The table's templates over the payload (`Invoice {number}`), by key."""
        return {}

    @property
    def loss(self) -> str:
        """What happens to the delivery if an event lacks a field of these templates, for example `its mail fails`."""
        return f"its {self.channel} fails"

    @property
    def template(self) -> str:
        """The name of the template that renders its deliveries; empty if there is none."""
        return ""

    @property
    def summary(self) -> tuple[str, str]:
        """The two columns that `herald routes check` prints: the channel's name, and where its deliveries go."""
        return self.channel, "yes"

    def plan(self, event: Event, fields: SentFields, max_destinations: int) -> ChannelPlan:
        """Plan the deliveries of an event whose payload is a JSON object. A list of more than `max_destinations` may be
        cut after one more. Raises Unreadable, which turns the event into a dead letter.
        """
        raise NotImplementedError

    def fault_in(self, item: Item, destination: str) -> str | None:
        """Why the item can never be sent to this destination, in words; None if it can be sent."""
        return None
