"""The port for the backplane, which carries stored entries and sign-outs to the hubs of all nodes."""

from collections.abc import Collection, Sequence
from typing import Protocol

from domain.streams import SignOut, StreamEntry, StreamName


class BackplaneUnavailable(Exception):
    """The backplane can't carry messages now. No entry is lost: the hubs find the entries in the store, a few seconds
    later."""


class Listener(Protocol):
    """The receiver of a backplane's messages on one node: the hub."""

    def arrived(self, entries: Sequence[StreamEntry]) -> None:
        """Receives entries of streams that the node has subscribed to. The entries at one position of a stream are in
        the same call."""

    def signed_out(self, sign_outs: Sequence[SignOut]) -> None:
        """Receives sign-outs of all users, also of users without a session on this node."""


class Backplane(Protocol):
    """Carries stored entries and sign-outs to the hubs of all nodes, fast but unreliably.

    Delivery: messages may be lost, repeated or reordered. Therefore each hub also compares its streams with the store,
    more often while `fault` is set, and reads what it has missed. All entries at one position of a stream arrive, or
    none.
    Receivers: the listener of every node, including the node that publishes, receives all sign-outs, and the entries of
    streams that its node has subscribed to. Nodes with different stores (epochs) do not receive each other's messages.
    Caller: publish entries and sign-outs only after the transaction that stored them is committed.
    """

    @property
    def fault(self) -> str | None:
        """The reason why the backplane is unavailable; None while it is available."""

    @property
    def outages(self) -> int:
        """The number of times that the backplane became unavailable since the process started, however briefly. Counts
        1 if it was unavailable at the start. When the number changes, the hub compares all its streams with the store.
        """

    async def open(self, listener: Listener) -> None:
        """Starts to pass messages to `listener`. Called once for each node. Does not wait until the backplane is
        available: connects in the background."""

    async def publish(self, entries: Sequence[StreamEntry], sign_outs: Sequence[SignOut]) -> None:
        """Publishes entries and sign-outs to all nodes. Raises BackplaneUnavailable if not all of them could be
        published; while `fault` is set, it is raised immediately."""

    async def subscribe(self, streams: Collection[StreamName]) -> None:
        """Subscribes this node to these streams. The listener receives the entries that are published after the call
        has returned, unless messages are lost.

        While the backplane is unavailable, the call returns within a few seconds, and the subscription starts once the
        backplane is available. Raises StoreUnavailable if the epoch of the store can't be read.
        """

    def unsubscribe(self, streams: Collection[StreamName]) -> None:
        """Ends this node's subscription to these streams, in the background: some entries may still arrive after the
        call. If the streams are subscribed to again later, the new subscription stays."""

    async def close(self) -> None:
        """Stops passing messages to the listener, and disconnects."""
