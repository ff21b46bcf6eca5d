"""Outbound channels in routes: a channel's table in a route, and the deliveries that it plans for an event."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar

import msgspec

from domain.deliveries import Item
from domain.events import Event
from domain.verbatim_fields import VerbatimFields


class ChannelPlan(msgspec.Struct, frozen=True):
    """The deliveries that a channel's table plans for one event: one for each of `destinations`. If there is no
    destination, or for an empty one, a delivery is stored as skipped. `subject`, `template` and `options` are copied
    into the item of each delivery. `user` is the user whose preferences apply. Nothing is sent before `due_at`, if it
    is set.
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
        """Reads the table from its TOML value. Raises msgspec.ValidationError."""
        return msgspec.convert(value, cls)

    @property
    def text_templates(self) -> Mapping[str, str]:
        """The values of this table that contain payload fields in braces (`subject = "Invoice {number}"`), by the key
        in the table.
        """
        return {}

    @property
    def loss(self) -> str:
        """The consequence for the delivery if an event lacks a field that a text template needs, for example `its mail
        fails`. It completes a warning about the routes file.
        """
        return f"its {self.channel} fails"

    @property
    def template(self) -> str:
        """The name of the template file that renders this table's deliveries; empty if it has none."""
        return ""

    @property
    def summary(self) -> tuple[str, str]:
        """The two columns that `herald routes check` prints for this table: the channel's name, and the destination of
        its deliveries.
        """
        return self.channel, "yes"

    def plan(self, event: Event, fields: VerbatimFields, max_destinations: int) -> ChannelPlan:
        """Plans the deliveries of an event whose payload is a JSON object. It may stop after `max_destinations` + 1
        destinations, since the caller rejects so many. Raises Unreadable if the event is to become a dead letter.
        """
        raise NotImplementedError

    def fault_in(self, item: Item, destination: str) -> str | None:
        """Returns why the item can never be sent to this destination, as text; None if it can be sent."""
        return None
