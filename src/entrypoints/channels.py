"""The registry of outbound channels, such as `email`: how each is configured in routes, and how it is made."""

from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from adapters.mail.route_table import EmailTable
from application.delivery.channel import Channel
from application.delivery.dispatch_policy import DispatchPolicy
from domain.channel_tables import ChannelTable
from domain.deliveries import Item
from domain.route_table import RouteTable
from entrypoints.settings.loader import Settings, SettingsInvalid
from entrypoints.wiring.mail import check_email, email_channel, faults_in_mails


def _accept(settings: Settings, table: ChannelTable) -> str | None:
    return None


def _accept_all(settings: Settings, items: Sequence[Item]) -> Sequence[str | None]:
    return [None] * len(items)


class OutboundChannel(msgspec.Struct, frozen=True):
    """An outbound channel as the registry lists it.

    `table`: the type of the table that configures the channel in a route, such as `email = { … }`. `open`: makes the
    channel and its dispatch policy; called once in each process that sends deliveries. `check`: returns what is wrong
    with a route's table under the given settings; None if nothing is. `faults_in`: prepares items, without sending
    them, and returns for each why that is impossible, or None; `herald routes check` calls it with samples. `health`:
    the name of the channel's health check; if empty, the name of the channel.
    """

    table: type[ChannelTable]
    open: Callable[[Settings], tuple[Channel[Any], DispatchPolicy]]
    check: Callable[[Settings, ChannelTable], str | None] = _accept
    faults_in: Callable[[Settings, Sequence[Item]], Sequence[str | None]] = _accept_all
    health: str = ""

    @property
    def name(self) -> str:
        return self.table.channel


class OutboundChannels(msgspec.Struct, frozen=True):
    """All outbound channels of a process. A type of its own, because the dependency injection container provides values
    by type."""

    all: tuple[OutboundChannel, ...]


CHANNELS: Final = (OutboundChannel(EmailTable, email_channel, check_email, faults_in_mails, health="mail"),)


def check_channels(channels: Sequence[OutboundChannel], table: RouteTable, settings: Settings) -> None:
    """Checks the channel tables of all routes. Raises SettingsInvalid if deliveries of a route could never be sent by
    this process, for example because the route's mail template is missing."""
    checks = {channel.name: channel.check for channel in channels}
    for file, profile in zip(table.files, table.profiles, strict=True):
        for number, route in enumerate(profile.routes, 1):
            for used in route.channels:
                if fault := checks[used.channel](settings, used):
                    raise SettingsInvalid(f"{file}: route {number} ({route.source!r}): {used.channel}.{fault}")
