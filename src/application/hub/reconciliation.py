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

    Every `comparison_sweeps` sweeps, the followed streams and the connected users are compared with the store: those
    that have changed since the last comparison, if the store knows which, otherwise all of them. While the backplane is
    unavailable, and for `comparisons_after_outage` sweeps after that, every sweep compares them, because entries
    published during the outage, or by nodes that reconnect to the backplane later than this one, do not arrive.
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
        self._sweeps_until_comparison = policy.comparison_sweeps
        self._mark: str | None = None  # what has changed before this mark of the store has been compared
        self._outages = backplane.outages  # outages after which the streams have been compared
        self._urgent_comparisons = 0  # sweeps that have to compare, however recent the last comparison is

    async def __call__(self) -> None:
        self._streams.resynchronise()
        is_unavailable, outages = self._backplane.fault is not None, self._backplane.outages
        if is_unavailable or outages != self._outages:
            self._urgent_comparisons = self._policy.comparisons_after_outage
        self._sweeps_until_comparison -= 1
        if self._urgent_comparisons or self._sweeps_until_comparison <= 0:
            await self._compare()
            self._sweeps_until_comparison = self._policy.comparison_sweeps
            self._urgent_comparisons = max(0, self._urgent_comparisons - 1)
        if is_unavailable:
            # Missing entries can't arrive by the backplane now, so buffers need not wait for them until the next sweep.
            self._streams.resynchronise()
        else:
            self._outages = outages
        self._streams.drop_idle()

    async def _compare(self) -> None:
        """Compares the heads of followed streams, and the latest sign-outs of connected users, with the store."""
        moved = await self._store.moved(self._mark)
        async for names in chunked(self._followed(moved.streams), self._policy):
            heads = await self._store.heads(names)
            self._streams.compare(heads)
            sign_outs = ((name, head.not_before) for name, head in heads.items() if is_inbox(name))
            self._signed_out([SignOut(owner_of(name), at) for name, at in sign_outs if at is not None])
        self._mark = moved.mark

    def _followed(self, moved: frozenset[StreamName] | None) -> list[StreamName]:
        """Returns the streams that sessions of this node follow, and the inboxes of connected users: those among
        `moved`, or all of them if it is None."""
        if moved is None:
            return list(dict.fromkeys([*self._streams, *map(inbox_of, self._users)]))
        return [name for name in moved if name in self._streams or (is_inbox(name) and owner_of(name) in self._users)]
