"""The decision whether a delivery is sent. It is made when the delivery is first stored, and again when it is claimed.
Pure functions."""

from collections.abc import Callable
from datetime import datetime
from typing import TypeAlias
from uuid import UUID

import msgspec
from msgspec.structs import replace

from domain.deliveries import NO_ADDRESS, Delivery, PlannedDelivery
from domain.preferences import Preferences

# The names of channels in the `error` of skipped deliveries.
_NAMES = {"email": "e-mail"}


class Send(msgspec.Struct, frozen=True):
    """Send the delivery now."""


class Hold(msgspec.Struct, frozen=True):
    """Do not send the delivery before `until`; decide again then. `rule` says why."""

    until: datetime
    rule: str


class Skip(msgspec.Struct, frozen=True):
    """Never send the delivery. `rule` says why, and is recorded."""

    rule: str


Decision: TypeAlias = Send | Hold | Skip
Decide: TypeAlias = Callable[[Delivery, Preferences, datetime], Decision]


def decide(delivery: Delivery, preferences: Preferences, now: datetime) -> Decision:
    """Decides whether a delivery is sent now, later, or never. `preferences` are those of its user, or the defaults if
    it has no user."""
    user, channel = delivery.user, delivery.channel
    if user is not None:
        if not preferences.wants(channel):
            return Skip(f"{user} has switched off {_NAMES.get(channel, channel)}")
        types = {item.type for item in delivery.items}
        if types.issubset(preferences.muted_types):
            return Skip(f"{user} has muted {', '.join(sorted(types))}")
    if not delivery.destination:
        return Skip(NO_ADDRESS)
    return Send()


def new_delivery(planned: PlannedDelivery, id: UUID, preferences: Preferences, now: datetime) -> Delivery:
    """Returns the delivery in the state in which it is first stored: pending, held until later, skipped, or failed if
    it can never be sent."""
    due_at = max(now, planned.due_at or now)
    delivery = Delivery(
        id=id,
        channel=planned.channel,
        destination=planned.destination,
        items=(planned.item,),
        status="pending",
        error=None,
        created_at=now,
        updated_at=now,
        due_at=due_at,
        user=planned.user,
    )
    match decide(delivery, preferences, now):
        case Skip(rule):
            return replace(delivery, status="skipped", error=rule)
        case Hold(until, rule):
            return replace(delivery, due_at=max(due_at, until), error=rule)
    return delivery if planned.fault is None else replace(delivery, status="failed", error=planned.fault)
