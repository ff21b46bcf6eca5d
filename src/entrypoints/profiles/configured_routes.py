"""Loads the routes that the settings of the process select, at a reload."""

from collections.abc import Sequence

from domain.route_table import RouteTable
from domain.routes import RoutesInvalid
from entrypoints.channels import OutboundChannel, check_channels
from entrypoints.profiles.loader import load_table
from entrypoints.profiles.routes_files import find_ignored_files
from entrypoints.settings.loader import Settings, SettingsInvalid


class ConfiguredRoutes:
    """Implements the port RoutesLoader: reads the profiles that the settings name, and compiles their mail
    templates."""

    def __init__(self, settings: Settings, channels: Sequence[OutboundChannel]) -> None:
        self._settings = settings
        self._channels = channels

    def load(self) -> RouteTable:
        try:
            table = load_table(self._settings, self._channels)
            check_channels(self._channels, table, self._settings)
        except SettingsInvalid as error:
            raise RoutesInvalid(str(error)) from None
        return table

    def ignored_files(self) -> tuple[str, ...]:
        return find_ignored_files(self._settings.routing.routes)
