"""The tables of outbound channels in routes, such as the table `email`, and the deliveries that they plan."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar

import msgspec

from domain.deliveries import Item
from domain.events import Event
from domain.verbatim_fields import VerbatimFields


class ChannelPlan(msgspec.Struct, frozen=True):
    """The deliveries that the table of one channel plans for one event: one for each of `destinations`, all with the
    same `subject`, `template` and `options` (see domain.deliveries.Item).

    If `destinations` is empty, or contains empty text, a delivery without a destination is planned, which is stored as
    skipped. `user` is the user whose preferences decide whether the deliveries are sent; if None, no preferences apply.
    The deliveries are sent at `due_at` at the earliest; if None, as soon as possible.
    """

    destinations: Sequence[str]
    subject: str | None
    template: str = ""
    user: str | None = None
    options: Mapping[str, Any] = {}
    due_at: datetime | None = None


class ChannelTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Base class of the tables that configure an outbound channel in a route, such as `email`. The adapter of each
    channel defines a subclass, whose fields are the keys of the table.

    `channel` is the name of the channel, and the key of the table in the route. `help` describes the table in the
    reference of routes files (see domain.routes_file_keys). The methods have no side effects. They
    are called when a routes file is read and when events are planned.
    """

    channel: ClassVar[str]
    help: ClassVar[str] = "The table of an outbound channel."

    @classmethod
    def read(cls, value: object) -> "ChannelTable":
        """Converts the value of the table in a routes file. Raises msgspec.ValidationError if the value is invalid."""
        return msgspec.convert(value, cls)

    @property
    def text_templates(self) -> Mapping[str, str]:
        """The texts of this table with placeholders for payload fields, such as `Invoice {number}`, by their key in the
        table, such as `subject`.
        """
        return {}

    @property
    def paths(self) -> Mapping[str, str]:
        """The paths of payload fields in this table, by their key in the table, such as `to`. `herald routes check`
        warns of a path that no sample has.
        """
        return {}

    @property
    def loss(self) -> str:
        """What happens to a delivery if the event lacks a field that one of the `text_templates` needs, such as `its
        mail fails`. It is part of a warning: `if an event lacks {number}, its mail fails`.
        """
        return f"its {self.channel} fails"

    @property
    def template(self) -> str:
        """The name of the template file from which the channel renders the deliveries of this table; empty if it uses
        no template file.
        """
        return ""

    @property
    def summary(self) -> tuple[str, str]:
        """What `herald routes check` prints for this table: the name of the channel, and a short text about the
        destinations, such as their path in the payload: `("e-mail", "customer.email")`.
        """
        return self.channel, "yes"

    def plan(self, event: Event, fields: VerbatimFields, max_destinations: int) -> ChannelPlan:
        """Plans the deliveries of this table for an event, whose payload must be a JSON object. `fields` has the values
        of the payload as text. Raises Unreadable if the table can't be applied to the event; the event is then stored
        as a dead letter.

        If there are more than `max_destinations` destinations, the caller plans none of the deliveries. So this method
        may leave out all destinations after the first `max_destinations` + 1.
        """
        raise NotImplementedError

    def as_destination(self, name: str) -> str:
        """Returns a user or an address that the route excludes in the form that `destinations` have. A destination that
        equals it is left out.
        """
        return name

    def fault_in(self, item: Item, destination: str) -> str | None:
        """Returns the reason why this channel can never send the item to the destination, such as an invalid address;
        None if it can.
        """
        return None
