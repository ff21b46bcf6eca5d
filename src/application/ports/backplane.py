"""The port between nodes: what carries a stored message to the hubs of all of them."""

from collections.abc import Sequence
from typing import Protocol

from domain.streams import Entry, SignOut, StreamName


class BackplaneUnavailable(Exception):
    """The backplane can't carry anything now. The hubs notice by themselves, seconds later."""


class Listener(Protocol):
    """What a backplane brings its messages to: a node's hub."""

    def arrived(self, entries: Sequence[Entry]) -> None:
        """Entries of streams that were subscribed to. Those of one position come together, or not at all."""

    def signed_out(self, sign_outs: Sequence[SignOut]) -> None:
        """Sign-outs, of any user."""


class Backplane(Protocol):
    """For telling every node what was stored, soon.

    Delivery: none is promised. A message may be lost, come twice or out of order; the store is the truth, and the
    hubs compare themselves with it. Publishers publish only after the commit. Ordering: usually that of publishing;
    nothing rests on it. Who hears: each node's listener, the publisher's own included, gets the entries of the
    streams that its node is subscribed to, and all sign-outs.
    """

    async def open(self, listener: Listener) -> None:
        """Starts bringing messages to this node's one listener."""

    async def publish(self, entries: Sequence[Entry], sign_outs: Sequence[SignOut]) -> None:
        """Raises BackplaneUnavailable; some may have been carried nevertheless."""

    async def subscribe(self, stream: StreamName) -> None:
        """Whatever is published to the stream after this returns will be brought, as far as that is promised."""

    async def unsubscribe(self, stream: StreamName) -> None:
        """Raises BackplaneUnavailable; the stream may then go on being brought, which does no harm."""

    async def ping(self) -> None:
        """Returns if messages are carried now, else raises BackplaneUnavailable."""

    async def close(self) -> None: ...
