"""Addresses: the paths where clients connect, and the endpoint that serves a client there."""

from collections.abc import Sequence

import msgspec

from domain.endpoints import Endpoint, Transport, by_path
from domain.routes import RouteTable


class Address(msgspec.Struct, frozen=True):
    """A path where clients connect. It has one endpoint, or two of which exactly one reads the user from the query."""

    endpoints: tuple[Endpoint, ...]

    @property
    def path(self) -> str:
        return self.endpoints[0].path

    @property
    def transport(self) -> Transport:
        return self.endpoints[0].transport

    @property
    def path_parameter(self) -> str | None:
        """The path parameter that has the user's id, which is the last segment; None if there is none."""
        return self.endpoints[0].path_parameter

    @property
    def query_parameter(self) -> str | None:
        """The query parameter that has the user's id; None if there is none."""
        names = (endpoint.query_parameter for endpoint in self.endpoints)
        return next((name for name in names if name is not None), None)

    def select(self, table: RouteTable, user: str | None) -> Endpoint:
        """Returns the endpoint that serves a client with this user.

        Of two endpoints, the one that reads the user from the query serves clients with a user, unless its profile is
        not loaded while that of the other one is. The other endpoint serves all other clients.
        """
        if len(self.endpoints) == 1:
            return self.endpoints[0]
        first, second = self.endpoints
        by_query, other = (first, second) if first.query_parameter else (second, first)
        loaded = table.has_profile(by_query.profile) or not table.has_profile(other.profile)
        return by_query if user is not None and loaded else other


def addresses(table: RouteTable) -> Sequence[Address]:
    """Returns all paths where clients connect."""
    return [Address(endpoints) for endpoints in by_path(table.endpoints)]
