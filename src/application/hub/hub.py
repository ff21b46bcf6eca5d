"""The hub: all streams followed and all sessions open in this process."""

import asyncio
import random
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from typing import Final

import structlog

from application.counters import Counters
from application.hub.frames import MOST_ENTRIES, Frames, render, step
from application.hub.session import Gap, Opening, Session
from application.hub.tail import Tail
from application.ports.backplane import Backplane, BackplaneUnavailable
from application.ports.clock import Clock
from application.ports.store import Store, StoreUnavailable
from domain.errors import Draining, TooManySessions
from domain.identity import admit, ended_by
from domain.positions import Cursor, Start, read_cursor, start
from domain.protocol import Close, Farewell, View
from domain.streams import Entry, SignOut, StreamName, inbox_of, public_name

log = structlog.get_logger(__name__)

# Seconds between sweeps, and how many sweeps it takes to compare every stream with the store once.
SWEEP: Final = 1.0
SLICES: Final = 5

# Sweeps after which a client that has taken nothing of what was handed to it is dismissed, after which a dismissed
# session that does not end is cut off, after which one whose client never began to read is closed, and after which a
# stream that nobody follows is forgotten (a client that reconnects finds it still warm).
SLOW_AFTER: Final = 30
CUT_OFF_AFTER: Final = 2
NEVER_BEGUN_AFTER: Final = 15
FORGOTTEN_AFTER: Final = 5

# The share of a drain's time over which sessions are dismissed; the rest is for the last of them to leave.
DISMISSAL_SHARE: Final = 0.7

# Seconds between two dismissals at most: a node with few sessions need not take its whole window.
LONGEST_DISMISSAL_PAUSE: Final = 0.05

# What a client is told to wait before it connects elsewhere, in seconds: spread, so that they do not arrive as one.
RECONNECT_IN: Final = (0.2, 3.0)

# All tails together, in bytes. Beyond it the tail that grows gives way: its readers go to the store.
MOST_BYTES: Final = 256 * 1024 * 1024


class Hub:
    """Joins sessions to streams, brings streams what the backplane carries, and keeps both in step with the store.

    Whatever the backplane loses, repeats or reorders, a session gets every entry of its streams once and in order: a
    tail takes only what comes next, and `sweep` compares every head with the store's every few seconds.
    """

    def __init__(
        self,
        store: Store,
        backplane: Backplane,
        clock: Clock,
        counters: Counters,
        *,
        heartbeat: float = 30.0,
        sessions_per_user: int = 100,
    ) -> None:
        self._store = store
        self._backplane = backplane
        self._clock = clock
        self._counters = counters
        self.heartbeat = heartbeat
        self._sessions_per_user = sessions_per_user
        self.sessions: set[Session] = set()
        self.draining = False
        self._users: dict[str, set[Session]] = {}
        self._tails: dict[StreamName, Tail] = {}
        self._weight = 0
        self._fetches: dict[tuple[StreamName, View, int], asyncio.Task[Frames]] = {}
        # Subscribing and unsubscribing take turns, or an unsubscription on its way could undo the subscription that
        # follows it.
        self._membership = asyncio.Lock()
        self._closed = asyncio.Event()
        self._slice = 0

    # --- sessions ------------------------------------------------------------------------------------------------

    async def open(self, opening: Opening, names: Sequence[StreamName], cursor: str | None) -> Session:
        """A session with its positions set: whatever is stored from now on will be among its frames.

        Raises Draining, TooManySessions, SignedOut, TokenExpired, StoreUnavailable, BackplaneUnavailable.
        """
        if self.draining:
            raise Draining
        session = Session(opening, await self._follow(names))
        # Registered first, sign-out read second: one that happens meanwhile finds the session, an earlier one is read.
        self._register(session)
        try:
            shown = read_cursor(cursor) if cursor else None
            start, not_before = await self._locate(session, shown, lost=bool(cursor) and shown is None)
            admit(session.identity, not_before)
            session.not_before = not_before
            session.begin(start)
            if self.draining:
                raise Draining
        except BaseException:
            self.close(session)
            raise
        return session

    async def resume(self, session: Session, cursor: Cursor) -> Start:
        """Where a session that is open already goes on from, by a cursor it has shown since."""
        start, _ = await self._locate(session, cursor, lost=False)
        return start

    def close(self, session: Session) -> None:
        """The client has left or was let go. May be called more than once."""
        for tail in session.tails:
            tail.followers.discard(session)
        self.sessions.discard(session)
        self._closed.set()
        if session.user is not None and (others := self._users.get(session.user)) is not None:
            others.discard(session)
            if not others:
                del self._users[session.user]

    async def drain(self, seconds: float) -> None:
        """Opens no more sessions and dismisses those there are, spread over some seconds, so that their clients do
        not all arrive elsewhere at once. Returns when all have ended, or the time and a little more is over."""
        self.draining = True
        leaving = list(self.sessions)
        random.shuffle(leaving)
        pause = min(LONGEST_DISMISSAL_PAUSE, seconds * DISMISSAL_SHARE / max(len(leaving), 1))
        for session in leaving:
            session.dismiss(
                Farewell(Close.RESTARTING, "this node restarts", reconnect_in=random.uniform(*RECONNECT_IN))
            )
            await asyncio.sleep(pause)
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds * (1 - DISMISSAL_SHARE) + 1):
                while self.sessions:
                    self._closed.clear()
                    await self._closed.wait()

    def _register(self, session: Session) -> None:
        user = session.user
        if user is not None:
            others = self._users.setdefault(user, set())
            if len(others) >= self._sessions_per_user:
                raise TooManySessions
            others.add(session)
        self.sessions.add(session)
        for tail in session.tails:
            tail.followers.add(session)
            tail.idle = 0

    async def _follow(self, names: Sequence[StreamName]) -> tuple[Tail, ...]:
        if any(name not in self._tails for name in names):
            async with self._membership:
                for name in names:
                    if name not in self._tails:
                        await self._backplane.subscribe(name)
                        self._tails[name] = Tail(name)
        return tuple(self._tails[name] for name in names)

    async def _locate(self, session: Session, cursor: Cursor | None, lost: bool) -> tuple[Start, datetime | None]:
        names = [tail.name for tail in session.tails]
        own = [inbox_of(session.user)] if session.user is not None else []
        # The streams are subscribed to by now, so whatever this read does not see yet comes by the backplane.
        heads = await self._store.heads(dict.fromkeys(names + own))
        for tail in session.tails:
            if tail.head == 0:
                tail.begin(heads[tail.name].last)
        not_before = heads[own[0]].not_before if own else None
        begin = start(cursor, lost, session.epoch, session.tag, {name: heads[name] for name in names})
        return begin, not_before

    # --- what the backplane brings -------------------------------------------------------------------------------

    def arrived(self, entries: Sequence[Entry]) -> None:
        moved: dict[StreamName, Tail] = {}
        for index, entry in enumerate(entries):
            tail = self._tails.get(entry.stream)
            if tail is None:
                continue
            following = entries[index + 1] if index + 1 < len(entries) else None
            if following is not None and following.stream == entry.stream and following.changed == entry.changed:
                # A mass act: a position of many entries is not kept in memory, but read from the store.
                self._weight -= tail.begin(entry.changed) if entry.changed > tail.head else 0
            else:
                self._weight += tail.append(entry)
            moved[entry.stream] = tail
        for tail in moved.values():
            if self._weight > MOST_BYTES:
                self._weight -= tail.begin(tail.head)
            tail.wake()

    def signed_out(self, sign_outs: Sequence[SignOut]) -> None:
        for sign_out in sign_outs:
            for session in list(self._users.get(sign_out.user, ())):
                if ended_by(session.identity, sign_out.not_before, session.not_before):
                    session.dismiss(Farewell(Close.SIGNED_OUT, "the user has signed out"))

    # --- what is not in a tail -----------------------------------------------------------------------------------

    async def fetch(self, tail: Tail, view: View, after: int) -> Frames:
        """The frames that follow position `after`, from the store. Sessions that ask for the same at once are
        answered by one read.

        Raises Gap where the store keeps less than that, and StoreUnavailable.
        """
        key = (tail.name, view, after)
        task = self._fetches.get(key)
        if task is None:
            task = self._fetches[key] = asyncio.create_task(self._read(tail, view, after))
            task.add_done_callback(lambda _: self._fetches.pop(key, None))
        return await asyncio.shield(task)

    async def _read(self, tail: Tail, view: View, after: int) -> Frames:
        read = self._store.changes if view.protocol else self._store.arrivals
        page = await read(tail.name, after, MOST_ENTRIES)
        if after < page.head.pruned:
            raise Gap(public_name(tail.name), after, page.head.pruned)
        taken = step(page.entries, 0) if page.entries else ()
        whole = len(taken) == len(page.entries)
        upto = page.upto if whole else (taken[-1].changed if view.protocol else taken[-1].seq)
        if upto <= after:
            # A head that the store does not have (any more): it may come, and asking at once again would not hasten it.
            raise StoreUnavailable(f"{tail.name} has nothing after {after} yet")
        return tail.keep((view, after), render(view, taken, upto))

    # --- what happens by itself ----------------------------------------------------------------------------------

    async def run(self) -> None:
        """Sweeps, every second, for as long as the process lives."""
        while True:
            await asyncio.sleep(SWEEP)
            try:
                await self.sweep()
            except StoreUnavailable as fault:
                log.warning("heads not compared, the store is away", fault=str(fault))
            except Exception:
                log.exception("sweep failed")

    async def sweep(self) -> None:
        """One second's share of the regular work: sessions that are due, streams nobody follows, heads to compare."""
        self._look_after_sessions()
        await self._compare_heads()
        await self._forget_unfollowed()

    def _look_after_sessions(self) -> None:
        now = self._clock.now().timestamp()
        beat = max(1, round(self.heartbeat / SWEEP))
        for session in list(self.sessions):
            session.sweeps += 1
            if session.beats and session.sweeps % beat == 0:
                session.heartbeat()
            waits_for = session.waits_for()
            session.untaken = session.untaken + 1 if waits_for is not None and waits_for == session.waited_for else 0
            session.waited_for = waits_for
            if session.untaken >= SLOW_AFTER:
                session.dismiss(Farewell(Close.TOO_SLOW, "nothing was taken for too long"))
            if session.identity.expires_at is not None and session.identity.expires_at <= now:
                session.dismiss(Farewell(Close.TOKEN_EXPIRED, "the token has expired"))
            if session.abort is None and session.sweeps > NEVER_BEGUN_AFTER:
                session.dismiss(Farewell(Close.TOO_SLOW, "nothing was ever taken"))
                self.close(session)
            if session.farewell is not None:
                session.leaving += 1
                if session.leaving > CUT_OFF_AFTER and session.abort is not None:
                    session.abort()

    async def _forget_unfollowed(self) -> None:
        for tail in list(self._tails.values()):
            tail.idle = 0 if tail.followers else tail.idle + 1
        async with self._membership:
            for tail in [tail for tail in self._tails.values() if tail.idle > FORGOTTEN_AFTER]:
                if tail.followers:
                    continue
                self._weight -= tail.begin(tail.head)
                del self._tails[tail.name]
                try:
                    await self._backplane.unsubscribe(tail.name)
                except BackplaneUnavailable as fault:
                    log.warning("not unsubscribed", stream=tail.name, fault=str(fault))

    async def _compare_heads(self) -> None:
        """Compares a slice of the streams with the store. A tail that was behind the last time as well has missed
        something; one that is behind just now may have it on its way."""
        self._slice = (self._slice + 1) % SLICES
        suspects = [tail for tail in self._tails.values() if tail.head < tail.suspect]
        turn = [tail for tail in self._tails.values() if hash(tail.name) % SLICES == self._slice]
        for tail in suspects:
            self._counters.healed += 1
            self._weight -= tail.begin(tail.suspect)
            tail.wake()
        users = [user for user in self._users if hash(user) % SLICES == self._slice]
        names = dict.fromkeys([tail.name for tail in turn] + [inbox_of(user) for user in users])
        if not names:
            return
        heads = await self._store.heads(names)
        for tail in turn:
            tail.suspect = heads[tail.name].last
        self.signed_out(
            [
                SignOut(user, not_before)
                for user in users
                if (not_before := heads[inbox_of(user)].not_before) is not None
            ]
        )
