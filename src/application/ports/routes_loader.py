"""The port for loading routes: reads the routes files anew."""

from typing import Protocol

from domain.route_table import RouteTable


class RoutesLoader(Protocol):
    """Loads the routes that the settings of this process select."""

    def load(self) -> RouteTable:
        """Reads and checks the routes files and the mail templates that the routes use. Blocks for as long as that
        takes, so call it in a thread. Has no side effects. Raises RoutesInvalid with the reason if something is
        missing, contradictory or invalid."""

    def ignored_files(self) -> tuple[str, ...]:
        """Returns the paths of what the folders of routes files contain and `load` does not read, although it is not
        hidden. Blocks like `load`, and raises the same."""
