"""The port for the backplane, which carries stored entries to the hubs of all nodes."""

from collections.abc import Collection, Sequence
from typing import Protocol

from domain.streams import SignOut, StreamEntry, StreamName


class BackplaneUnavailable(Exception):
    """The backplane can't carry messages now. The hubs find the entries in the store, seconds later."""


class Listener(Protocol):
    """The receiver of a backplane's messages: a node's hub."""

    def arrived(self, entries: Sequence[StreamEntry]) -> None:
        """Receives entries of subscribed streams. All entries of one position arrive in one call, or none."""

    def signed_out(self, sign_outs: Sequence[SignOut]) -> None:
        """Receives sign-outs of any user."""


class Backplane(Protocol):
    """Notifies every node of stored entries promptly.

    Delivery: not guaranteed. Messages may be lost, repeated or reordered; the store is authoritative, and the hubs
    compare their streams with it, more often while there is a `fault`. Publishers publish only after the commit.
    Ordering: usually that of publishing; nothing depends on it. Receivers: each node's listener, including the
    publisher's own, gets the entries of the streams that its node is subscribed to, and all sign-outs. Only nodes with
    the same store (epoch) receive each other's messages.
    """

    @property
    def fault(self) -> str | None:
        """Why the backplane is unavailable; None while it carries messages."""

    @property
    def outages(self) -> int:
        """How often it became unavailable, for however short a time; starting unavailable counts as once."""

    async def open(self, listener: Listener) -> None:
        """Starts passing messages to this node's only listener. Connects in the background if the backplane is
        unavailable."""

    async def publish(self, entries: Sequence[StreamEntry], sign_outs: Sequence[SignOut]) -> None:
        """Publishes to all nodes. Raises BackplaneUnavailable, immediately while there is a `fault`; some messages may
        have been carried nevertheless."""

    async def subscribe(self, streams: Collection[StreamName]) -> None:
        """Subscribes to these streams. Entries published after this returns are passed to the listener, within the
        guarantees above. If the backplane is unavailable this returns within a few seconds, and the subscription
        follows once it is available. Raises StoreUnavailable."""

    def unsubscribe(self, streams: Collection[StreamName]) -> None:
        """Takes effect before any later `subscribe`; until then, entries of these streams may still arrive."""

    async def close(self) -> None: ...
