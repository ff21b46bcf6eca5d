"""The decision whether a delivery is sent now, later, or never. It is made when the delivery is first stored, and again
whenever the delivery is claimed. Pure functions."""

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
    """The decision to send the delivery now."""


class Hold(msgspec.Struct, frozen=True):
    """The decision not to send the delivery before `until`, and to decide again then. The delivery stays pending;
    `rule`, the reason, is its `error`."""

    until: datetime
    rule: str


class Skip(msgspec.Struct, frozen=True):
    """The decision never to send the delivery. Its status becomes `skipped`; `rule`, the reason, is its `error`."""

    rule: str


Decision: TypeAlias = Send | Hold | Skip
Decide: TypeAlias = Callable[[Delivery, Preferences, datetime], Decision]


def decide(delivery: Delivery, preferences: Preferences, now: datetime) -> Decision:
    """Returns Skip if the delivery's user has switched off the channel or muted the types of all its items, or if the
    delivery has no destination; otherwise Send. `preferences` are those of the delivery's user, and are ignored if it
    has no user."""
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
    """Returns the delivery of a plan as it is first stored. If `decide` skips it, its status is `skipped`; if `decide`
    holds it, `pending` and due when the hold ends. Otherwise it is `failed` if `planned.fault` is set (it can never be
    sent), or `pending` and due at `planned.due_at`, by default `now`."""
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
