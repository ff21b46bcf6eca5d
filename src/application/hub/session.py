"""Sessions: one connected client each."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable
from datetime import datetime
from typing import Any, Final

from application.hub import session_messages
from application.hub.frames import Frames
from application.hub.opening import Gap, Opening, ReplacementSession
from application.hub.session_positions import SessionPositions
from application.hub.stream_buffer import StreamBuffer
from application.ports.store import StoreUnavailable
from domain.identity import Identity
from domain.positions import Cursor, ResumePoint, cursor_text, tag_of
from domain.protocol import herald_v1 as protocol
from domain.protocol.herald_v1 import CloseCode, CloseReason

# A client of herald.v1 may say where to resume in its first frame; this long it is waited for (seconds).
PATIENCE: Final = 1.0

# Answers waiting for a client that asks faster than it listens. Beyond it they are dropped: it is about to be
# closed.
MOST_ANSWERS: Final = 32

# Seconds until a session asks again after the store could not answer it.
STORE_RETRY: Final = 1.0


class Session:
    """A client's streams, its position in each, and what to send it next.

    `frames` is all that the client is to receive, in order: whoever iterates over it is the client's one writer, and
    a client that takes nothing simply leaves the iteration where it is.
    """

    def __init__(self, opening: Opening, buffers: tuple[StreamBuffer, ...]) -> None:
        self.opening = opening
        self.id = opening.id
        self.endpoint = opening.endpoint
        self.identity = opening.identity
        self.view = opening.view
        self.positions = SessionPositions(buffers, opening.view)
        self.tag = tag_of(opening.identity.user)
        self.resume_point = ResumePoint({})
        self.started = False
        self.greeted = False  # whether its client was sent `hello`, and so has a position here
        self.close_reason: CloseReason | None = None
        self.replacement: ReplacementSession | None = None
        self._last: list[int] = []  # the heads at its closing
        self.not_before: datetime | None = None  # the sign-out that was known when it was opened
        self.force_close: Callable[[], Any] | None = (
            None  # set by the adapter: ends a write that does not end by itself
        )
        self.delivered = 0
        # Set by the adapter where it can send without waiting; False where an earlier frame is still on its way.
        self.send_now: Callable[[str], bool] | None = None
        # Set by the adapter: the number of the oldest frame that the client has not taken, None if there is none.
        self.oldest_unsent: Callable[[], int | None] = lambda: None
        self.last_oldest_unsent: int | None = None  # the same at the last sweep
        self.stalled_sweeps = 0  # sweeps since that frame was first waited for
        self.sweeps = 0  # since it was opened
        self.leaving = 0  # sweeps since it was closed
        self._heartbeat_due = False
        self._answers: deque[str] = deque()
        self._first: asyncio.Future[Cursor | None] | None = None
        self._first_has_come = False
        self._waiter: asyncio.Future[None] | None = None

    # --- what others tell it -------------------------------------------------------------------------------------

    def start_at(self, resume_point: ResumePoint) -> None:
        """Sets the positions; must have been called before the handshake is answered."""
        self.resume_point = resume_point
        self.started = True
        self.positions.start_at(resume_point)

    def wake(self) -> None:
        waiter = self._waiter
        if waiter is not None and not waiter.done() and not self._all_sent_now():
            waiter.set_result(None)

    def close(self, close_reason: CloseReason) -> None:
        """Ends the session; the first reason is the one that counts."""
        if self.close_reason is None:
            self.close_reason = close_reason
            self._last = [buffer.head for buffer in self.positions.buffers]
            self.complete_first_command(None)
            self.wake()

    def refresh_identity(self, identity: Identity) -> bool:
        """The same user, by a fresh token. Where other streams are open to it than before, another session takes this
        one's place; returns whether this one goes on."""
        if not self.opening.admits(identity):
            self.replace(ReplacementSession(identity))
            return False
        self.identity = identity
        return True

    def replace(self, replacement: ReplacementSession) -> None:
        """Ends the session without a word, since another takes its place at the same client."""
        if self.close_reason is not None:
            return
        self.replacement = replacement
        self.close(CloseReason(CloseCode.RESTARTING, "replaced"))

    def answer(self, frame: str) -> None:
        """Queues an object that belongs to no stream."""
        if len(self._answers) < MOST_ANSWERS:
            self._answers.append(frame)
            self.wake()

    def await_first_command(self) -> None:
        """Makes `frames` wait a moment for where to resume."""
        self._first = asyncio.get_running_loop().create_future()

    def first_frame_received(self) -> None:
        """The first frame has arrived: from now on only `complete_first_command` ends the wait for it."""
        self._first_has_come = True

    def complete_first_command(self, cursor: Cursor | None) -> bool:
        """Ends that wait, with a cursor or without; False if there is none to end."""
        if self._first is None or self._first.done():
            return False
        self._first.set_result(cursor)
        return True

    def heartbeat(self) -> None:
        self._heartbeat_due = True
        self.wake()

    # --- what it says of itself ----------------------------------------------------------------------------------

    @property
    def epoch(self) -> str:
        return self.opening.epoch

    @property
    def beats(self) -> bool:
        """Whether its client gets heartbeats: plain sockets know none."""
        return self.view.protocol or self.view.transport == "sse"

    @property
    def user(self) -> str | None:
        return self.identity.user

    @property
    def cursor(self) -> str:
        return self.cursor_for(self.user)

    def cursor_for(self, user: str | None) -> str:
        """This session's positions as a cursor of that user's."""
        return cursor_text(self.epoch, tag_of(user), self.positions.by_name.items())

    # --- what its client receives --------------------------------------------------------------------------------

    async def frames(self) -> AsyncGenerator[str, None]:
        """All frames for the client; ends when the session is closed. Holds the position still while a frame is
        not taken."""
        if self._first is not None:
            await self._resume_as_asked(self._first)
            if self.close_reason is not None:
                # No hello: a client that shows its place in the first frame would take these positions for it.
                if self.replacement is None:
                    yield protocol.bye(self.close_reason)
                return
        if greeting := session_messages.greeting(self):
            self.greeted = True
            yield greeting
        positions = self.positions
        while True:
            moved = False
            for index, buffer in enumerate(positions.buffers):
                if buffer.head <= positions.values[index]:
                    continue
                frames = positions.ready(index) or await self._fetch(index)
                if frames is None:
                    continue
                moved = True
                if frames.objects and self.view.transport == "sse":
                    yield session_messages.event_stream_text(self, index, frames)
                else:
                    for text in frames.texts:
                        yield text
                self._handed_over(index, frames)
            while self._answers:
                yield session_messages.message(self, self._answers.popleft())
            if self._heartbeat_due:
                self._heartbeat_due = False
                yield session_messages.heartbeat(self)
            if self._is_over():
                break
            if not moved:
                await self._sleep()
        if self.close_reason is not None and self.view.protocol and self.replacement is None:
            yield session_messages.message(self, protocol.bye(self.close_reason))

    def _is_over(self) -> bool:
        """Dismissed, and where that is no fault of the client's, not before it has got all that was there by then."""
        if self.close_reason is None:
            return False
        return self.close_reason.code != CloseCode.RESTARTING or self.positions.has_reached(self._last)

    def _all_sent_now(self) -> bool:
        """Sends what has just arrived from within the hub's own step, where nothing else is due and the client has
        taken all before it: in quiet times this saves each delivery two turns of the loop."""
        send = self.send_now
        if send is None or self._answers or self._heartbeat_due or self.close_reason is not None:
            return False
        positions = self.positions
        for index, buffer in enumerate(positions.buffers):
            if buffer.head <= positions.values[index]:
                continue
            frames = positions.ready(index)
            if frames is None or frames.upto != buffer.head or len(frames.texts) > 1:
                return False
            if frames.texts and not send(frames.texts[0]):
                return False
            self._handed_over(index, frames)
        return True

    async def _resume_as_asked(self, first: asyncio.Future[Cursor | None]) -> None:
        try:
            async with asyncio.timeout(PATIENCE):
                cursor = await asyncio.shield(first)
        except TimeoutError:
            if not self._first_has_come:
                self.complete_first_command(None)
            cursor = await first
        if cursor is not None and self.close_reason is None:
            self.start_at(await self.opening.resume(self, cursor))

    async def _fetch(self, index: int) -> Frames | None:
        """Frames from the store; None if there are none to be had now."""
        positions = self.positions
        try:
            frames = await self.opening.fetch(positions.buffers[index], self.view, positions.values[index])
        except Gap as gap:
            if self.view.protocol:
                self._answers.append(protocol.gap(gap.stream, gap.after, gap.upto))
                positions.values[index] = gap.upto
            else:
                self.close(CloseReason(CloseCode.TOO_SLOW, "what was missed is kept no more"))
            return None
        except StoreUnavailable:
            await asyncio.sleep(STORE_RETRY)
            return None
        return frames

    async def _sleep(self) -> None:
        # Checked and set without an await between: a wake can't fall into the gap.
        if self._answers or self._heartbeat_due or self.positions.has_more:
            await asyncio.sleep(0)
            return
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _handed_over(self, index: int, frames: Frames) -> None:
        self.positions.advance(index, frames)
        if frames.stored_at is None:
            return
        self.delivered += frames.objects
        counters = self.opening.counters
        counters.pushed[self.view.transport] += frames.objects
        counters.store_to_socket.observe(self.opening.now().timestamp() - frames.stored_at)
