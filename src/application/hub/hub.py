"""The hub: all sessions open in this process, and the streams that they follow."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Final

from application.counters import Counters
from application.hub.opening import Opening
from application.hub.periodic import SWEEP, chunked, every_second
from application.hub.session import Session
from application.hub.streams import Streams
from application.hub.users import Users
from application.ports.backplane import Backplane
from application.ports.clock import Clock
from application.ports.presence import Presence
from application.ports.store import Store
from domain.errors import Draining
from domain.identity import check_not_signed_out, ended_by
from domain.positions import Cursor, ResumePoint, read_cursor, resolve_start
from domain.protocol.herald_v1 import CloseCode, CloseReason
from domain.streams import Entry, SignOut, StreamName, inbox_of, is_inbox, owner_of

# Sweeps that it takes to compare every stream with the store once.
SLICES: Final = 5

# Sweeps, from the backplane's return on, in which all of them are: another node may wait 2 s for its next attempt.
WARY: Final = 5

# Sweeps after which the other nodes are told of every user once more: whoever counts for them forgets after a day.
TELL_ALL: Final = 6 * 3600

# Sweeps after which a client that has taken nothing of what was handed to it is closed, after which a closed
# session that does not end is cut off, and after which one whose client never began to read is closed.
SLOW_AFTER: Final = 30
CUT_OFF_AFTER: Final = 2
NEVER_BEGUN_AFTER: Final = 15

# The share of a drain's time over which sessions are closed; the rest is for the last of them to leave.
CLOSING_SHARE: Final = 0.7

# Seconds between two closings at most: a node with few sessions need not take its whole window.
MAX_CLOSING_PAUSE: Final = 0.05

# What a client is told to wait before it connects elsewhere, in seconds: spread, so that they do not arrive as one.
RECONNECT_IN: Final = (0.2, 3.0)


class Hub:
    """Joins sessions to streams, and looks after both.

    Whatever the backplane loses, repeats or reorders, a session gets every entry of its streams once and in order: see
    Streams, which `sweep` compares with the store, each stream every few seconds.
    """

    def __init__(
        self,
        store: Store,
        backplane: Backplane,
        presence: Presence,
        clock: Clock,
        counters: Counters,
        *,
        heartbeat: float = 30.0,
        sessions_per_user: int = 100,
        anonymous_sessions: int | None = None,
    ) -> None:
        self._store = store
        self._backplane = backplane
        self._clock = clock
        self.streams = Streams(store, backplane, counters)
        self.heartbeat = heartbeat
        self.sessions: set[Session] = set()
        self.draining = False
        self._users = Users(presence, sessions_per_user, anonymous_sessions)
        self._closed = asyncio.Event()
        self._slice = 0
        # The backplane's outages behind which everything was compared, and behind which the other nodes were told.
        self._compared_behind = self._told_behind = backplane.outages
        self._wary = 0  # sweeps in which everything is still to be compared
        self._tellings = 0

    # --- sessions ------------------------------------------------------------------------------------------------

    async def open(self, opening: Opening, names: Sequence[StreamName], cursor: str | None) -> Session:
        """A session with its positions set: whatever is stored from now on will be among its frames.

        Raises Draining, TooManySessions, TooManySessionsElsewhere, TooManyAnonymous, SignedOut, TokenExpired,
        StoreUnavailable.
        """
        if self.draining:
            raise Draining
        session = Session(opening, await self.streams.follow(names))
        # Registered first, sign-out read second: one that happens meanwhile finds the session, an earlier one is read.
        self._register(session)
        try:
            await self._users.check_elsewhere(session)
            shown = read_cursor(cursor) if cursor else None
            resume_point, not_before = await self._start_of(session, shown, lost=bool(cursor) and shown is None)
            check_not_signed_out(session.identity, not_before)
            session.not_before = not_before
            session.start_at(resume_point)
            if self.draining:
                raise Draining
        except BaseException:
            self.remove(session)
            raise
        return session

    async def resume(self, session: Session, cursor: Cursor) -> ResumePoint:
        """Where a session that is open already goes on from, by a cursor it has shown since."""
        resume_point, _ = await self._start_of(session, cursor, lost=False)
        return resume_point

    def remove(self, session: Session) -> None:
        """The client has left or was let go. May be called more than once."""
        for buffer in session.positions.buffers:
            buffer.followers.discard(session)
        self.sessions.discard(session)
        self._closed.set()
        self._users.leave(session)

    async def drain(self, seconds: float) -> None:
        """Opens no more sessions and closes those there are, spread over some seconds, so that their clients do
        not all arrive elsewhere at once. Returns when all have ended, or the time and a little more is over."""
        self.draining = True
        leaving = list(self.sessions)
        random.shuffle(leaving)
        pause = min(MAX_CLOSING_PAUSE, seconds * CLOSING_SHARE / max(len(leaving), 1))
        for session in leaving:
            session.close(
                CloseReason(CloseCode.RESTARTING, "this node restarts", reconnect_in=random.uniform(*RECONNECT_IN))
            )
            await asyncio.sleep(pause)
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds * (1 - CLOSING_SHARE) + 1):
                while self.sessions:
                    self._closed.clear()
                    await self._closed.wait()

    def _register(self, session: Session) -> None:
        self._users.enter(session)
        self.sessions.add(session)
        for buffer in session.positions.buffers:
            buffer.followers.add(session)
            buffer.idle = 0

    async def _start_of(
        self, session: Session, cursor: Cursor | None, lost: bool
    ) -> tuple[ResumePoint, datetime | None]:
        names = [buffer.name for buffer in session.positions.buffers]
        own = [inbox_of(session.user)] if session.user is not None else []
        # The streams are subscribed to by now, so whatever this read does not see yet comes by the backplane.
        heads = await self._store.heads(dict.fromkeys(names + own))
        self.streams.set_heads(heads)
        not_before = heads[own[0]].not_before if own else None
        resume_point = resolve_start(cursor, lost, session.epoch, session.tag, {name: heads[name] for name in names})
        return resume_point, not_before

    # --- what the backplane brings -------------------------------------------------------------------------------

    def arrived(self, entries: Sequence[Entry]) -> None:
        self.streams.arrived(entries)

    def signed_out(self, sign_outs: Sequence[SignOut]) -> None:
        for sign_out in sign_outs:
            for session in self._users.sessions(sign_out.user):
                # One that has no token, and is still opening, reads for itself which sign-outs came before it.
                opening = session.identity.claimed and not session.started
                if not opening and ended_by(session.identity, sign_out.not_before, session.not_before):
                    session.close(CloseReason(CloseCode.SIGNED_OUT, "the user has signed out"))

    # --- what happens by itself ----------------------------------------------------------------------------------

    async def run(self) -> None:
        """Sweeps, every second, for as long as the process lives. A store that does not answer holds up what needs it,
        and no heartbeat."""
        await asyncio.gather(*(every_second(work) for work in self._regular_work))

    async def sweep(self) -> None:
        """One second's share of it: sessions that are due, heads to compare, streams nobody follows, nodes to tell."""
        for work in self._regular_work:
            await work()

    @property
    def _regular_work(self) -> tuple[Callable[[], Awaitable[None]], ...]:
        return self._look_after_sessions, self._reconcile, self._tell

    async def _tell(self) -> None:
        self._tellings += 1
        if self._backplane.fault is not None:
            return
        # Once more after its return: whoever counts for all nodes may have been away with it.
        outages = self._backplane.outages
        await self._users.tell(everyone=outages != self._told_behind or self._tellings % TELL_ALL == 0)
        self._told_behind = outages

    async def _reconcile(self) -> None:
        self.streams.heal()
        alone, outages = self._backplane.fault is not None, self._backplane.outages
        # And after its return: what was published while it was being subscribed to again has reached nobody, and other
        # nodes may be without it for some seconds more.
        if alone or outages != self._compared_behind:
            self._wary = WARY
        await self._compare(everything=self._wary > 0)
        self._wary = max(0, self._wary - 1)
        if alone:
            # Nothing is on its way that could be waited for.
            self.streams.heal()
        else:
            self._compared_behind = outages
        self.streams.forget()

    async def _look_after_sessions(self) -> None:
        now = self._clock.now().timestamp()
        async for some in chunked(list(self.sessions)):
            for session in some:
                if session in self.sessions:
                    self._look_after(session, now)

    def _look_after(self, session: Session, now: float) -> None:
        session.sweeps += 1
        if session.beats and session.sweeps % max(1, round(self.heartbeat / SWEEP)) == 0:
            session.heartbeat()
        oldest_unsent = session.oldest_unsent()
        stalled = oldest_unsent is not None and oldest_unsent == session.last_oldest_unsent
        session.stalled_sweeps = session.stalled_sweeps + 1 if stalled else 0
        session.last_oldest_unsent = oldest_unsent
        if session.stalled_sweeps >= SLOW_AFTER:
            session.close(CloseReason(CloseCode.TOO_SLOW, "nothing was taken for too long"))
        if session.identity.expires_at is not None and session.identity.expires_at <= now:
            session.close(CloseReason(CloseCode.TOKEN_EXPIRED, "the token has expired"))
        if session.force_close is None and session.sweeps > NEVER_BEGUN_AFTER:
            session.close(CloseReason(CloseCode.TOO_SLOW, "nothing was ever taken"))
            self.remove(session)
        if session.close_reason is not None:
            session.leaving += 1
            if session.leaving > CUT_OFF_AFTER and session.force_close is not None:
                session.force_close()

    async def _compare(self, everything: bool) -> None:
        """Compares a slice of the streams, and of the users that are here, with the store; or all of them."""
        self._slice = (self._slice + 1) % SLICES
        streams = self.streams.chosen(lambda name: everything or self._is_due(name))
        users = (inbox_of(user) for user in self._users if everything or self._is_due(user))
        async for names in chunked(list(dict.fromkeys([*streams, *users]))):
            heads = await self._store.heads(names)
            self.streams.compare(heads)
            sign_outs = ((name, head.not_before) for name, head in heads.items() if is_inbox(name))
            self.signed_out([SignOut(owner_of(name), at) for name, at in sign_outs if at is not None])

    def _is_due(self, name: str) -> bool:
        return hash(name) % SLICES == self._slice
