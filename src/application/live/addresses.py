"""The paths where clients connect, and the choice of the endpoint that serves a client."""

from collections.abc import Sequence

import msgspec

from domain.endpoints import Endpoint, Transport, by_path
from domain.route_table import RouteTable


class Address(msgspec.Struct, frozen=True):
    """A path where clients connect, with its endpoints (domain.endpoints). Two endpoints can share a path if exactly
    one of them reads the user's id from the query."""

    endpoints: tuple[Endpoint, ...]

    @property
    def path(self) -> str:
        return self.endpoints[0].path

    @property
    def transport(self) -> Transport:
        return self.endpoints[0].transport

    @property
    def path_parameter(self) -> str | None:
        """The name of the path parameter with the user's id: the last segment of the path. None if the path has no
        parameter."""
        return self.endpoints[0].path_parameter

    @property
    def query_parameter(self) -> str | None:
        """The name of the query parameter with the user's id. None if no endpoint of this path reads one."""
        names = (endpoint.query_parameter for endpoint in self.endpoints)
        return next((name for name in names if name is not None), None)

    def select(self, table: RouteTable, user: str | None) -> Endpoint:
        """Returns the endpoint that serves a client. `user` is the user id in the client's URL.

        If two endpoints share the path, a client with a user id is served by the endpoint that reads it from the query,
        and a client without one by the other endpoint. Exception: if only the profile of the other endpoint is loaded,
        the other endpoint serves all clients.
        """
        if len(self.endpoints) == 1:
            return self.endpoints[0]
        first, second = self.endpoints
        by_query, other = (first, second) if first.query_parameter else (second, first)
        loaded = table.has_profile(by_query.profile) or not table.has_profile(other.profile)
        return by_query if user is not None and loaded else other


def addresses(table: RouteTable) -> Sequence[Address]:
    """Returns all paths where clients connect, each with its endpoints."""
    return [Address(endpoints) for endpoints in by_path(table.endpoints)]
