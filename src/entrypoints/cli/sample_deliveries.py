"""What `herald routes check` finds by planning and preparing the deliveries of samples."""

from collections.abc import Iterator

import msgspec

from domain.channel_tables import ChannelTable
from domain.deliveries import PlannedDelivery
from domain.planning import plan
from domain.profiles import Profile
from domain.route_table import RouteTable
from domain.routes import Route
from domain.sample_events import matching_samples, message_of
from entrypoints.channels import CHANNELS, OutboundChannel
from entrypoints.settings.loader import Settings


def warnings_of_deliveries(profile: Profile, settings: Settings) -> Iterator[str]:
    """Yields a warning for each route and sample whose deliveries would fail: because of an address, for example, or
    because the mail template needs a field that the sample lacks. Nothing is sent.
    """
    for channel in CHANNELS:
        planned = list(_planned(profile, channel.table))
        reasons = _reasons(channel, settings, [one for _, one in planned])
        for (place, _), reason in zip(planned, reasons, strict=True):
            if reason:
                yield f"{place}: {reason}"


def _planned(profile: Profile, table: type[ChannelTable]) -> Iterator[tuple[str, PlannedDelivery]]:
    """Yields one delivery for each route with a table of this type, and each of its samples, and the place of both in
    the file. All deliveries of an event have the same content.
    """
    for number, route in enumerate(profile.routes, 1):
        if not any(isinstance(used, table) for used in route.channels):
            continue
        alone = _only(route, profile)
        for sample in matching_samples(profile, route):
            made = plan(message_of(sample.source, sample.payload), alone)
            for one in [one for one in made.deliveries if one.channel == table.channel][:1]:
                yield f"route {number} ({route.source!r}): {table.channel} of the sample {sample.title!r} fails", one


def _only(route: Route, profile: Profile) -> RouteTable:
    return RouteTable((msgspec.structs.replace(profile, routes=(route,), endpoints=()),))


def _reasons(channel: OutboundChannel, settings: Settings, planned: list[PlannedDelivery]) -> Iterator[str | None]:
    # A delivery without a destination is skipped, not failed, but its content can be prepared.
    faults = [one.fault if one.destination else None for one in planned]
    items = [one.item for one, fault in zip(planned, faults, strict=True) if not fault]
    found = iter(channel.faults_in(settings, items) if items else ())
    for fault in faults:
        yield fault or next(found)
