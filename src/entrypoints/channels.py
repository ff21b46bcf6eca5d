"""The registry of outbound channels: their tables in routes, and their implementations."""

from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from adapters.mail.route_table import EmailTable
from application.delivery.channel import Channel
from application.delivery.dispatch_policy import DispatchPolicy
from domain.channels import ChannelTable
from domain.routes import RouteTable
from entrypoints.settings.loader import Settings, SettingsInvalid
from entrypoints.wiring.mail import check_email, email_channel


def _accept(settings: Settings, table: ChannelTable) -> str | None:
    return None


class OutboundChannel(msgspec.Struct, frozen=True):
    """One channel: its table in routes (`table`), its factory and its checks.

    `open` returns the channel and its dispatch policy; it is called once in each process that sends. `check` returns
    what is invalid about a route's table under these settings, in words, or None. `health` is the name of the check of
    its peer in `/health`; it defaults to the channel's name.
    """

    table: type[ChannelTable]
    open: Callable[[Settings], tuple[Channel[Any], DispatchPolicy]]
    check: Callable[[Settings, ChannelTable], str | None] = _accept
    health: str = ""

    @property
    def name(self) -> str:
        return self.table.channel


class OutboundChannels(msgspec.Struct, frozen=True):
    """The channels of one process, for its container."""

    all: tuple[OutboundChannel, ...]


CHANNELS: Final = (OutboundChannel(EmailTable, email_channel, check_email, health="mail"),)


def check_channels(channels: Sequence[OutboundChannel], table: RouteTable, settings: Settings) -> None:
    """Raises SettingsInvalid for routes whose deliveries could never be sent by this process."""
    checks = {channel.name: channel.check for channel in channels}
    for profile in table.profiles:
        for number, route in enumerate(profile.routes, 1):
            for used in route.channels:
                if fault := checks[used.channel](settings, used):
                    where = f"The profile {profile.profile}: route {number} ({route.source!r}): {used.channel}"
                    raise SettingsInvalid(f"{where}.{fault}")
