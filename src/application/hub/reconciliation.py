"""Comparing the streams in memory with the store."""

from collections.abc import Callable, Sequence

from application.hub.connected_users import ConnectedUsers
from application.hub.periodic import chunked
from application.hub.policy import HubPolicy
from application.hub.stream_buffers import Streams
from application.ports.backplane import Backplane
from application.ports.store import Store
from domain.streams import SignOut, StreamName, inbox_of, is_inbox, owner_of


class Reconcile:
    """Finds entries and sign-outs that are in the store but were not delivered by the backplane. The sessions then read
    the entries from the store, or are closed because of the sign-out. The hub runs this every `sweep_interval_s`
    seconds (a sweep).

    Each sweep compares some of the followed streams and connected users with the store: each of them once in
    `comparison_sweeps` sweeps. While the backplane is unavailable, and for `full_comparisons_after_outage` sweeps after
    that, every sweep compares all of them, because entries published during the outage, or by nodes that reconnect to
    the backplane later than this one, do not arrive.
    """

    def __init__(
        self,
        store: Store,
        backplane: Backplane,
        streams: Streams,
        users: ConnectedUsers,
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
        self._streams.drop_idle()

    async def _compare(self, everything: bool) -> None:
        """Compares followed streams, and the latest sign-outs of connected users, with the store: all of them if
        `everything` is True, otherwise the share for this sweep."""
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
