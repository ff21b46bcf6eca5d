"""The routes that a process uses at the moment. They can be replaced while the process runs."""

from domain.route_table import RouteTable
from domain.routes_version import version_of


class RoutesInForce:
    """Holds the route table that is in use. Use cases read `table` each time they need a route, and do not store it.

    Within one piece of work, such as planning a batch, `table` is read once, so that all of it uses the same routes.
    `version` is the hash that `/health` shows (domain.routes_version).
    """

    __slots__ = ("table", "version")

    def __init__(self, table: RouteTable) -> None:
        self.table = table
        self.version = version_of(table)

    def replace(self, table: RouteTable, version: str) -> None:
        """Puts another table, whose version has been computed, in force."""
        self.table = table
        self.version = version
