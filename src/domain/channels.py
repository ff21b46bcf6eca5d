"""Outbound channels as routes see them: a table of a route, and what it plans for an event."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar

import msgspec

from domain.deliveries import Item
from domain.events import Event
from domain.sent_fields import SentFields


class ChannelPlan(msgspec.Struct, frozen=True):
    """What a table of a route plans for one event: one delivery to each destination. An empty destination is on record
    as skipped. `subject`, `template` and `options` go into the item; nothing is sent before `due_at`."""

    destinations: Sequence[str]
    subject: str | None
    template: str = ""
    user: str | None = None
    options: Mapping[str, Any] = {}
    due_at: datetime | None = None


class ChannelTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Base of the tables by which routes use outbound channels.

    A subclass declares the keys of its table as fields, and in `channel` the key that the table has in a route, which
    is the channel's name. Everything here is pure, and runs when routes are read and events are planned.
    """

    channel: ClassVar[str]

    @classmethod
    def read(cls, value: object) -> "ChannelTable":
        """The table from its TOML value. Raises msgspec.ValidationError."""
        return msgspec.convert(value, cls)

    @property
    def words(self) -> Mapping[str, str]:
        """Its templates over the payload (`Invoice {number}`), by key."""
        return {}

    @property
    def loss(self) -> str:
        """What becomes of the delivery when an event lacks a field of these templates, as `its mail fails`."""
        return f"its {self.channel} fails"

    @property
    def template(self) -> str:
        """The name of the template that its deliveries are rendered with; empty without one."""
        return ""

    @property
    def summary(self) -> tuple[str, str]:
        """What `herald routes check` prints of it: the channel's name, and where its deliveries go."""
        return self.channel, "yes"

    def plan(self, event: Event, fields: SentFields, max_destinations: int) -> ChannelPlan:
        """Plans the deliveries of an event whose payload is a JSON object. A list of more than `max_destinations` may
        be cut after one more. Raises Unreadable: the event becomes a dead letter then."""
        raise NotImplementedError

    def fault_in(self, item: Item, destination: str) -> str | None:
        """Why this can never be sent to this destination, in words; None if it can."""
        return None
