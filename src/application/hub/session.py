"""Sessions: one connected client, its position in each of its streams, and the frames that it is sent."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from datetime import datetime

import structlog

from application.counters import Counters
from application.hub import session_frames as messages
from application.hub.first_command import FirstCommand
from application.hub.frames import Frames
from application.hub.policy import SessionPolicy
from application.hub.session_positions import SessionPositions
from application.hub.session_request import Listener, ReplacementSession, SessionRequest
from application.hub.stream_buffer import StreamBuffer
from application.hub.stream_buffers import EntriesPruned, Streams
from application.hub.transport import Transport
from application.ports.clock import Clock
from application.ports.store import StoreUnavailable
from domain.identity import Identity
from domain.positions import Cursor, ResumePoint, tag_of
from domain.protocol import herald_v1 as protocol
from domain.protocol.herald_v1 import CloseCode, CloseReason

log = structlog.get_logger(__name__)


class Session:
    """One connected client: its streams, its position in each, and the frames that it is sent. `Hub.open` creates it.

    Frames are sent in one of two ways. Both move the positions by `_advance`, so no entry is sent twice or left out:

    - By the writer, a task of the socket adapter that iterates over `frames` and sends one frame after the other. It
      waits while the client does not read.
    - Directly: while the writer waits for new entries, `wake` sends them by `Transport.try_send`. The hub calls `wake`
      when the entries arrive, so this saves a switch to the writer's task.

    The attributes are changed only by the methods of this class: `start_at`, called by `Hub.open`; `attach`, called by
    the socket adapter; `refresh_identity`, called by ClientCommands; and others.
    """

    __slots__ = (
        "_answers",
        "_clock",
        "_counters",
        "_failed",
        "_final_heads",
        "_first_command",
        "_heartbeat_due",
        "_policy",
        "_pushed_at",
        "_streams",
        "_waiter",
        "close_reason",
        "delivered",
        "hello_sent",
        "identity",
        "positions",
        "replacement",
        "request",
        "resume_point",
        "signed_out_at",
        "tag",
        "transport",
        "view",
    )

    def __init__(
        self,
        request: SessionRequest,
        buffers: tuple[StreamBuffer, ...],
        streams: Streams,
        policy: SessionPolicy,
        clock: Clock,
        counters: Counters,
    ) -> None:
        self.request = request
        self.view = request.view
        self.identity = request.identity
        self.tag = tag_of(request.identity.user)
        self.positions = SessionPositions(buffers, request.view)
        self.resume_point: ResumePoint | None = None
        self.signed_out_at: datetime | None = None  # the user's latest sign-out at the time of opening
        self.transport: Transport | None = None
        self.hello_sent = False  # whether the client has been sent positions of this session
        self.delivered = 0
        self.close_reason: CloseReason | None = None
        self.replacement: ReplacementSession | None = None
        self._streams = streams
        self._policy = policy
        self._clock = clock
        self._counters = counters
        self._pushed_at = (request.view.transport, request.client.listener)
        self._first_command = FirstCommand() if request.may_resume else None
        self._answers: deque[str] = deque()
        self._heartbeat_due = False
        self._waiter: asyncio.Future[None] | None = None
        self._final_heads: list[int] = []  # the heads at the time of closing
        self._failed = False

    @property
    def id(self) -> str:
        return self.request.id

    @property
    def endpoint(self) -> str:
        return self.request.endpoint

    @property
    def listener(self) -> Listener:
        return self.request.client.listener

    @property
    def epoch(self) -> str:
        return self.request.epoch

    @property
    def user(self) -> str | None:
        return self.identity.user

    @property
    def cursor(self) -> str:
        return self.positions.cursor(self.epoch, self.tag)

    def cursor_for(self, user: str | None) -> str:
        """Returns the session's positions as a cursor of `user`, who may be another user than the session's: a session
        without a user is replaced by one with a user after the client has sent a token."""
        return self.positions.cursor(self.epoch, tag_of(user))

    # --- called by the hub ---------------------------------------------------------------------------------------

    def start_at(self, resume_point: ResumePoint, signed_out_at: datetime | None) -> None:
        """Sets the positions at which the session starts, and the time of its user's latest sign-out (None if there is
        none). Called by `Hub.open`, before the client's handshake is answered."""
        self._set_positions(resume_point)
        self.signed_out_at = signed_out_at

    def wake(self) -> None:
        """Called when there is something new to send. Sends new entries directly if possible; otherwise makes the
        writer (the task that iterates over `frames`) continue. Never raises."""
        waiter = self._waiter
        if waiter is None or waiter.done():
            return
        try:
            delivered = self._deliver_directly()
        except Exception as error:
            self.fail(error)
            return
        if not delivered:
            waiter.set_result(None)

    def send_heartbeat(self) -> None:
        """Requests a heartbeat: the writer (the task that iterates over `frames`) sends it after the entries that are
        waiting. A no-op for plain WebSockets, whose format has no heartbeats."""
        if self.view.protocol or self.view.transport == "sse":
            self._heartbeat_due = True
            self.wake()

    def close(self, close_reason: CloseReason) -> None:
        """Closes the session for this reason; `frames` then ends. A no-op if the session is closed already, so the
        first reason applies."""
        if self.close_reason is None:
            self.close_reason = close_reason
            self._final_heads = [buffer.head for buffer in self.positions.buffers]
            if self._first_command is not None:
                self._first_command.complete(None)
            self.wake()

    def fail(self, error: Exception) -> None:
        """Closes the session with INTERNAL_ERROR after an exception in its code or its transport. Logs the exception.
        Later calls for the same session are no-ops."""
        if self._failed:
            return
        self._failed = True
        log.error("session_failed", session_id=self.id, user_id=self.user, endpoint=self.endpoint, exc_info=error)
        self.close(CloseReason(CloseCode.INTERNAL_ERROR, "internal error"))

    # --- called by the socket adapter and the client's commands --------------------------------------------------

    def attach(self, transport: Transport) -> None:
        self.transport = transport

    def answer(self, text: str) -> None:
        """Queues a text that is not an entry, such as the answer to a command. It is sent after the entries that are
        waiting. It is dropped if `max_pending_answers` texts are queued already."""
        if len(self._answers) < self._policy.max_pending_answers:
            self._answers.append(text)
            self.wake()

    def first_frame_received(self) -> None:
        if self._first_command is not None:
            self._first_command.received()

    def complete_first_command(self, cursor: Cursor | None) -> bool:
        """Ends the wait for the client's first command. The session then starts at the positions of `cursor`; if
        `cursor` is None, at the positions that `start_at` has set. Returns False, without effect, if the session is not
        waiting for a first command."""
        return self._first_command is not None and self._first_command.complete(cursor)

    def refresh_identity(self, identity: Identity) -> None:
        """Replaces the identity by that of a new token. The caller has checked that the token belongs to the same user
        and gives access to the same streams."""
        self.identity = identity

    def replace(self, replacement: ReplacementSession) -> None:
        """Closes the session, so that the socket adapter opens another one for the same client on the same connection.
        The client is not sent a `bye`. A no-op if the session is closed already."""
        if self.close_reason is None:
            self.replacement = replacement
            self.close(CloseReason(CloseCode.RESTARTING, "replaced"))

    async def frames(self) -> AsyncGenerator[str, None]:
        """Yields all frames for the client in order, until the session is closed: a first message, entries, answers,
        heartbeats, and at the end `bye`, as far as the client's protocol has them. Only one task, the writer, may
        iterate."""
        if self._first_command is not None:
            await self._resume_by_command(self._first_command)
            if self.close_reason is not None:
                # `hello` is not sent: the client would replace the cursor of its first command by these positions.
                if self.replacement is None:
                    yield protocol.bye(self.close_reason)
                return
        if text := self._first_message():
            self.hello_sent = True
            yield text
        while True:
            moved = False
            for index in self.positions.pending():
                frames = self.positions.next_frames(index) or await self._fetch(index)
                if frames is not None:
                    moved = True
                    for text in self._texts(index, frames):
                        yield text
                    self._advance(index, frames)
            while self._answers:
                yield messages.as_frame(self.view, self._answers.popleft(), self.cursor)
            if self._heartbeat_due:
                self._heartbeat_due = False
                yield messages.heartbeat(self.request, self.cursor, self._clock.now())
            if self._is_finished():
                break
            if not moved:
                await self._sleep()
        if self.close_reason is not None and self.view.protocol and self.replacement is None:
            yield messages.as_frame(self.view, protocol.bye(self.close_reason), self.cursor)

    # --- delivery ------------------------------------------------------------------------------------------------

    def _texts(self, index: int, frames: Frames) -> Sequence[str]:
        """Returns the texts that are sent for `frames`, which are entries of the stream at `index`. Call `_advance`
        when all of them are sent."""
        if frames.objects and self.view.transport == "sse":
            return (messages.event_stream_text(self.epoch, self.tag, self.positions, index, frames),)
        return frames.texts

    def _advance(self, index: int, frames: Frames) -> None:
        self.positions.advance(index, frames)
        if frames.objects:
            self.delivered += frames.objects
            self._counters.pushed[self._pushed_at] += frames.objects
        if frames.stored_at is not None:
            self._counters.store_to_socket.observe(self._clock.now().timestamp() - frames.stored_at)

    def _deliver_directly(self) -> bool:
        """Sends all new entries immediately, without the writer. Returns False if the writer has to send those that are
        left: if an answer or a heartbeat is waiting too, if the entries must be read from the store or need more than
        one frame for a stream, or if earlier frames are not sent yet."""
        transport = self.transport
        if transport is None or self._answers or self._heartbeat_due or self.close_reason is not None:
            return False
        positions = self.positions
        for index, buffer in enumerate(positions.buffers):
            if buffer.head <= positions.values[index]:
                continue
            frames = positions.next_frames(index)
            if frames is None or frames.upto != buffer.head:
                return False
            texts = self._texts(index, frames)
            if len(texts) > 1 or (texts and not transport.try_send(texts[0])):
                return False
            self._advance(index, frames)
        return True

    def _is_finished(self) -> bool:
        """Returns whether `frames` may end. While the session is open: False. If the session was closed because the
        node restarts or because another session replaces it: True once all entries have been sent that had arrived when
        it was closed. If it was closed for any other reason: True."""
        if self.close_reason is None:
            return False
        return self.close_reason.code != CloseCode.RESTARTING or self.positions.has_reached(self._final_heads)

    def _first_message(self) -> str | None:
        point = self.resume_point or ResumePoint({})
        heartbeat_s, now = self._policy.heartbeat_s, self._clock.now()
        return messages.first_message(self.request, self.positions, self.cursor, point, heartbeat_s, now)

    async def _resume_by_command(self, first_command: FirstCommand) -> None:
        cursor = await first_command.wait(self._policy.first_command_timeout_s)
        if cursor is not None and self.close_reason is None:
            resume_point, _ = await self._streams.resume_point(self.request, cursor)
            self._set_positions(resume_point)

    def _set_positions(self, resume_point: ResumePoint) -> None:
        self.resume_point = resume_point
        self.positions.start_at(resume_point)

    async def _fetch(self, index: int) -> Frames | None:
        """Reads the next frames of the stream at `index` from the store. If the store is unavailable, waits for
        `store_retry_s` seconds and returns None. If the entries have been deleted, returns None after queueing a `gap`
        message or, if the client is a plain one, closing the session."""
        positions = self.positions
        try:
            return await self._streams.fetch(positions.buffers[index], self.view, positions.values[index])
        except EntriesPruned as gap:
            if self.view.protocol:
                self._answers.append(protocol.gap(gap.stream, gap.after, gap.upto))
                positions.values[index] = gap.upto
            else:
                self.close(CloseReason(CloseCode.TOO_SLOW, "the missed entries have been deleted"))
        except StoreUnavailable:
            await asyncio.sleep(self._policy.store_retry_s)
        return None

    async def _sleep(self) -> None:
        # Nothing is awaited between the check and the waiter: no wake-up is missed.
        if self._answers or self._heartbeat_due or self.positions.has_pending:
            await asyncio.sleep(0)
            return
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None
