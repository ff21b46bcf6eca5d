"""The hub: all open sessions of this process, and the streams that they follow."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

from application.counters import Counters
from application.hub.connected_users import ConnectedUsers
from application.hub.liveness import CheckSessions, Liveness
from application.hub.periodic import every_sweep
from application.hub.policy import HubPolicy
from application.hub.reconciliation import Reconcile
from application.hub.session import Session
from application.hub.session_request import SessionRequest
from application.hub.stream_buffers import Streams
from application.ports.backplane import Backplane
from application.ports.clock import Clock
from application.ports.presence import Presence
from application.ports.store import Store
from domain.caller_errors import Draining
from domain.identity import check_not_signed_out, ended_by
from domain.positions import read_cursor
from domain.protocol.herald_v1 import CloseCode, CloseReason
from domain.streams import SignOut, StreamEntry


class Hub:
    """Opens sessions, connects them to their streams, and removes them. The socket adapters send the frames of the
    sessions.

    A session receives every entry of its streams once and in order, even if the backplane loses, repeats or reorders
    entries (see Streams and Reconcile). An exception in one session does not affect other sessions.
    """

    def __init__(
        self,
        store: Store,
        backplane: Backplane,
        presence: Presence,
        clock: Clock,
        counters: Counters,
        policy: HubPolicy,
    ) -> None:
        self._clock = clock
        self._counters = counters
        self._policy = policy
        self.streams = Streams(store, backplane, counters, policy.buffers)
        self.sessions: dict[Session, Liveness] = {}
        self.draining = False
        self._users = ConnectedUsers(presence, backplane, policy)
        self._removed = asyncio.Event()
        self._periodic_work: tuple[Callable[[], Awaitable[None]], ...] = (
            CheckSessions(self.sessions, policy, clock, self.remove),
            Reconcile(store, backplane, self.streams, self._users, policy, self.signed_out),
            self._users.report,
        )

    # --- sessions ------------------------------------------------------------------------------------------------

    async def open(self, request: SessionRequest) -> Session:
        """Opens a session. It starts at the positions of the request's cursor; without a usable cursor, at the head of
        each stream. All entries stored after the session was opened are sent to it. The caller has to call `remove`
        when the session has ended.

        Raises Draining, TooManySessions, TooManySessionsElsewhere, TooManyAnonymous, SignedOut, TokenExpired,
        StoreUnavailable.
        """
        if self.draining:
            raise Draining
        buffers = await self.streams.follow(request.streams)
        session = Session(request, buffers, self.streams, self._policy.session, self._clock, self._counters)
        # The session is added before its user's sign-out is read: a later sign-out finds the session here, an earlier
        # one is read from the store.
        self._add(session)
        try:
            await self._users.check_other_nodes(session)
            cursor = read_cursor(request.cursor) if request.cursor else None
            lost = bool(request.cursor) and cursor is None
            resume_point, signed_out_at = await self.streams.resume_point(request, cursor, lost)
            check_not_signed_out(session.identity, signed_out_at)
            session.start_at(resume_point, signed_out_at)
            if self.draining:
                raise Draining
        except BaseException:
            self.remove(session)
            raise
        return session

    def remove(self, session: Session) -> None:
        """Removes an ended session from its streams, and from the count of its user's sessions. May be called again."""
        for buffer in session.positions.buffers:
            buffer.followers.discard(session)
        self.sessions.pop(session, None)
        self._removed.set()
        self._users.remove(session)

    async def drain(self, seconds: float) -> None:
        """Refuses new sessions from now on, and closes the open ones one after the other within `seconds` seconds, so
        that their clients do not all reconnect at once. Returns when all sessions have been removed, after `seconds` +
        1 s at the latest."""
        policy = self._policy
        self.draining = True
        sessions = list(self.sessions)
        random.shuffle(sessions)
        pause = min(policy.max_drain_pause_s, seconds * policy.drain_closing_share / max(len(sessions), 1))
        for session in sessions:
            reconnect_in = random.uniform(*policy.reconnect_in_s)
            session.close(CloseReason(CloseCode.RESTARTING, "this node restarts", reconnect_in))
            await asyncio.sleep(pause)
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds * (1 - policy.drain_closing_share) + 1):
                while self.sessions:
                    self._removed.clear()
                    await self._removed.wait()

    def _add(self, session: Session) -> None:
        self._users.add(session)
        self.sessions[session] = Liveness()
        for buffer in session.positions.buffers:
            buffer.followers.add(session)
            buffer.idle_sweeps = 0

    # --- from the backplane --------------------------------------------------------------------------------------

    def arrived(self, entries: Sequence[StreamEntry]) -> None:
        self.streams.arrived(entries)

    def signed_out(self, sign_outs: Sequence[SignOut]) -> None:
        for sign_out in sign_outs:
            for session in self._users.sessions(sign_out.user):
                # A session without a token that is still opening is not closed: `open` reads the latest sign-out.
                is_opening = session.identity.claimed and session.resume_point is None
                if not is_opening and ended_by(session.identity, sign_out.not_before, session.signed_out_at):
                    session.close(CloseReason(CloseCode.SIGNED_OUT, "the user has signed out"))

    # --- periodic work -------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Runs CheckSessions, Reconcile and ConnectedUsers.report every `sweep_interval_s` seconds until it is
        cancelled. Each runs in a loop of its own, so heartbeats are on time even while Reconcile waits for the store.
        """
        interval_s = self._policy.sweep_interval_s
        await asyncio.gather(*(every_sweep(work, interval_s) for work in self._periodic_work))

    async def sweep(self) -> None:
        """Runs CheckSessions, Reconcile and ConnectedUsers.report once, one after the other. For tests; `run` runs them
        periodically."""
        for work in self._periodic_work:
            await work()
