"""Endpoints: where clients connect, and what a plain client sees there."""

from typing import Final, Literal

import msgspec

from domain.routes import RouteTable


class Endpoint(msgspec.Struct, frozen=True):
    """A place for the clients of one profile.

    A plain client sees the feeds of `profile`, and in its inbox what `inbox` says: nothing, what this profile's
    routes made, or everything. Where the profile is not loaded, the endpoint shows whatever is.
    """

    name: str
    transport: Literal["ws", "sse"]
    profile: str
    feeds: bool = True
    inbox: Literal["none", "profile", "all"] = "none"

    def home(self, table: RouteTable) -> str | None:
        """The profile whose routes a plain client sees here; None for all."""
        return self.profile if table.has_profile(self.profile) else None


SIGNALS: Final = Endpoint("signals", "ws", "signals")
TRADING: Final = Endpoint("trading", "ws", "trading", inbox="profile")
GROUPS: Final = Endpoint("groups", "ws", "groups", feeds=False, inbox="profile")
ORDERS: Final = Endpoint("orders", "ws", "orders", inbox="profile")
PRODUCTS: Final = Endpoint("products", "sse", "products", inbox="all")


def at_ws(table: RouteTable, user: str | None) -> Endpoint:
    """Two services had their clients at `/ws`; those of trading name their user."""
    return TRADING if user is not None and (table.has_profile("trading") or not table.has_profile("orders")) else ORDERS
