"""The registry of outbound channels: the table that each has in routes, and its implementation."""

from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from adapters.mail.route_table import EmailTable
from application.delivery.channel import Channel
from application.delivery.dispatch_policy import DispatchPolicy
from domain.channel_tables import ChannelTable
from domain.routes import RouteTable
from entrypoints.settings.loader import Settings, SettingsInvalid
from entrypoints.wiring.mail import check_email, email_channel


def _accept(settings: Settings, table: ChannelTable) -> str | None:
    return None


class OutboundChannel(msgspec.Struct, frozen=True):
    """One outbound channel: the type of its table in routes (`table`), its factory (`open`) and its check (`check`).

    `open` returns the channel and its dispatch policy. It is called once in each process that sends deliveries. `check`
    returns None if a route's table is valid under the given settings; otherwise a text that says what is wrong.
    `health` is the name under which `/health` reports the channel; it defaults to the channel's name.
    """

    table: type[ChannelTable]
    open: Callable[[Settings], tuple[Channel[Any], DispatchPolicy]]
    check: Callable[[Settings, ChannelTable], str | None] = _accept
    health: str = ""

    @property
    def name(self) -> str:
        return self.table.channel


class OutboundChannels(msgspec.Struct, frozen=True):
    """The outbound channels of one process, as a type that the container can provide."""

    all: tuple[OutboundChannel, ...]


CHANNELS: Final = (OutboundChannel(EmailTable, email_channel, check_email, health="mail"),)


def check_channels(channels: Sequence[OutboundChannel], table: RouteTable, settings: Settings) -> None:
    """Checks the routes of all channels. Raises SettingsInvalid if a route makes deliveries that this process could
    never send, for example because its mail template is missing."""
    checks = {channel.name: channel.check for channel in channels}
    for profile in table.profiles:
        for number, route in enumerate(profile.routes, 1):
            for used in route.channels:
                if fault := checks[used.channel](settings, used):
                    where = f"The profile {profile.profile}: route {number} ({route.source!r}): {used.channel}"
                    raise SettingsInvalid(f"{where}.{fault}")
