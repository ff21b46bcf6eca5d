"""The port between nodes: what carries a stored message to the hubs of all of them."""

from collections.abc import Collection, Sequence
from typing import Protocol

from domain.streams import SignOut, StreamEntry, StreamName


class BackplaneUnavailable(Exception):
    """The backplane can't carry anything now. The hubs notice by themselves, seconds later."""


class Listener(Protocol):
    """What a backplane brings its messages to: a node's hub."""

    def arrived(self, entries: Sequence[StreamEntry]) -> None:
        """Entries of streams that were subscribed to. Those of one position come together, or not at all."""

    def signed_out(self, sign_outs: Sequence[SignOut]) -> None:
        """Sign-outs, of any user."""


class Backplane(Protocol):
    """For telling every node what was stored, soon.

    Delivery: none is promised. A message may be lost, come twice or out of order; the store is the truth, and the
    hubs compare themselves with it, more often while there is a `fault`. Publishers publish only after the commit.
    Ordering: usually that of publishing; nothing rests on it. Who hears: each node's listener, the publisher's own
    included, gets the entries of the streams that its node is subscribed to, and all sign-outs. Nodes hear one another
    only where they keep the same history: another store's messages are never brought.
    """

    @property
    def fault(self) -> str | None:
        """Why nothing is carried now; None while messages are."""

    @property
    def outages(self) -> int:
        """How often it was away so far, for however short a moment; a start without it counts."""

    async def open(self, listener: Listener) -> None:
        """Starts bringing messages to this node's one listener. A backplane that is away is waited for in the
        background."""

    async def publish(self, entries: Sequence[StreamEntry], sign_outs: Sequence[SignOut]) -> None:
        """Raises BackplaneUnavailable, at once while there is a `fault`; some may have been carried nevertheless."""

    async def subscribe(self, streams: Collection[StreamName]) -> None:
        """Whatever is published to these streams after this returns will be brought, as far as that is promised. While
        the backplane is away it returns all the same, within a few seconds, and they are subscribed to
        once it is back. Raises StoreUnavailable."""

    def unsubscribe(self, streams: Collection[StreamName]) -> None:
        """Takes effect before any later `subscribe`; until it does, the streams may go on being brought."""

    async def close(self) -> None: ...
