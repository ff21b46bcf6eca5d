"""The port for the backplane, which carries stored entries to the hubs of all nodes."""

from collections.abc import Collection, Sequence
from typing import Protocol

from domain.streams import SignOut, StreamEntry, StreamName


class BackplaneUnavailable(Exception):
    """The backplane can't carry messages now. The hubs read the entries from the store, a few seconds later."""


class Listener(Protocol):
    """The receiver of a backplane's messages: a node's hub."""

    def arrived(self, entries: Sequence[StreamEntry]) -> None:
        """Receives entries of subscribed streams. Either all entries of a position arrive, in one call, or none of
        them."""

    def signed_out(self, sign_outs: Sequence[SignOut]) -> None:
        """Receives sign-outs of any user."""


class Backplane(Protocol):
    """Notifies every node of stored entries promptly.

    Delivery: not guaranteed. Messages may be lost, repeated or reordered. The store is authoritative: the hubs compare
    their streams with it, more often while `fault` is set. Publishers publish only after the commit. Ordering: not
    guaranteed; usually the order of publishing. Receivers: each node's listener, including the publisher's own,
    receives the entries of the streams that its node is subscribed to, and all sign-outs. Only nodes with the same
    store (epoch) receive each other's messages.
    """

    @property
    def fault(self) -> str | None:
        """Why the backplane is unavailable; None while it is available."""

    @property
    def outages(self) -> int:
        """The number of outages since the start of the process, however short. A backplane that is unavailable at the
        start counts as one."""

    async def open(self, listener: Listener) -> None:
        """Starts to pass messages to `listener`, the only one of this node. If the backplane is unavailable, connects
        in the background."""

    async def publish(self, entries: Sequence[StreamEntry], sign_outs: Sequence[SignOut]) -> None:
        """Publishes to all nodes. Raises BackplaneUnavailable, immediately while `fault` is set; some messages may have
        been carried nevertheless."""

    async def subscribe(self, streams: Collection[StreamName]) -> None:
        """Subscribes to these streams. Entries published after this returns are passed to the listener, within the
        guarantees above. If the backplane is unavailable, returns within a few seconds and subscribes once it is
        available. Raises StoreUnavailable if the epoch of the store can't be read."""

    def unsubscribe(self, streams: Collection[StreamName]) -> None:
        """Ends the subscription to these streams, before any later `subscribe` takes effect. Until then, their entries
        may still arrive."""

    async def close(self) -> None: ...
