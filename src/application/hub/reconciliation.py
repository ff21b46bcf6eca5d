"""Comparing streams with the store."""

from collections.abc import Callable, Sequence

from application.hub.connected_users import Users
from application.hub.periodic import chunked
from application.hub.policy import HubPolicy
from application.hub.stream_buffers import Streams
from application.ports.backplane import Backplane
from application.ports.store import Store
from domain.streams import SignOut, StreamName, inbox_of, is_inbox, owner_of


class Reconcile:
    """Finds entries and sign-outs in the store that the backplane has not delivered.

    Each sweep compares a share of the streams with the store, so that every stream is compared every few sweeps. While
    the backplane is unavailable, and for some sweeps afterwards, every sweep compares all streams: entries that were
    published before a node had subscribed again did not reach it, and other nodes may reconnect later.
    """

    def __init__(
        self,
        store: Store,
        backplane: Backplane,
        streams: Streams,
        users: Users,
        policy: HubPolicy,
        signed_out: Callable[[Sequence[SignOut]], None],
    ) -> None:
        self._store = store
        self._backplane = backplane
        self._streams = streams
        self._users = users
        self._policy = policy
        self._signed_out = signed_out
        self._share = 0  # the share of the streams that is compared in this sweep
        self._outages = backplane.outages  # outages after which all streams have been compared
        self._full_comparisons = 0  # sweeps that still have to compare all streams

    async def __call__(self) -> None:
        self._streams.resynchronise()
        is_unavailable, outages = self._backplane.fault is not None, self._backplane.outages
        if is_unavailable or outages != self._outages:
            self._full_comparisons = self._policy.full_comparisons_after_outage
        await self._compare(everything=self._full_comparisons > 0)
        self._full_comparisons = max(0, self._full_comparisons - 1)
        if is_unavailable:
            # Missing entries can't arrive by the backplane now, so buffers need not wait for them until the next sweep.
            self._streams.resynchronise()
        else:
            self._outages = outages
        self._streams.forget_idle()

    async def _compare(self, everything: bool) -> None:
        """Compares streams and sign-outs of connected users with the store: this sweep's share, or all."""
        self._share = (self._share + 1) % self._policy.comparison_sweeps
        streams = self._streams.names(lambda name: everything or self._is_due(name))
        users = (inbox_of(user) for user in self._users if everything or self._is_due(user))
        async for names in chunked(list(dict.fromkeys([*streams, *users])), self._policy):
            heads = await self._store.heads(names)
            self._streams.compare(heads)
            sign_outs = ((name, head.not_before) for name, head in heads.items() if is_inbox(name))
            self._signed_out([SignOut(owner_of(name), at) for name, at in sign_outs if at is not None])

    def _is_due(self, name: StreamName) -> bool:
        return hash(name) % self._policy.comparison_sweeps == self._share
