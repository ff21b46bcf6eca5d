"""Heartbeats of sessions, and closing of sessions whose client does not read, whose token has expired, or which do not
end by themselves."""

from collections.abc import Callable

from application.hub.periodic import chunked
from application.hub.policy import HubPolicy
from application.hub.session import Session
from application.ports.clock import Clock
from domain.protocol.herald_v1 import CloseCode, CloseReason


class Liveness:
    """What CheckSessions has counted for one session. The unit is sweeps: runs of CheckSessions, by default one per
    second."""

    __slots__ = ("closing_sweeps", "last_oldest_unsent", "stalled_sweeps", "sweeps")

    def __init__(self) -> None:
        self.sweeps = 0  # since the session was opened
        self.closing_sweeps = 0  # since it was closed
        self.stalled_sweeps = 0  # without progress of its oldest unsent frame
        self.last_oldest_unsent: int | None = None


class CheckSessions:
    """Checks all sessions; the hub runs it every `sweep_interval_s` seconds (a sweep). Sends the heartbeats that are
    due. Closes a session if its client does not read or its token has expired. Aborts the connection of a closed
    session that has not ended within `force_close_after_sweeps` sweeps. An exception in one session ends only that
    session."""

    def __init__(
        self, sessions: dict[Session, Liveness], policy: HubPolicy, clock: Clock, remove: Callable[[Session], None]
    ) -> None:
        self._sessions = sessions
        self._policy = policy
        self._clock = clock
        self._remove = remove
        self._heartbeat_sweeps = max(1, round(policy.session.heartbeat_s / policy.sweep_interval_s))

    async def __call__(self) -> None:
        now = self._clock.now().timestamp()
        async for sessions in chunked(list(self._sessions), self._policy):
            for session in sessions:
                # Another task may have removed the session in a pause between two batches.
                if (liveness := self._sessions.get(session)) is not None:
                    self._check(session, liveness, now)

    def _check(self, session: Session, liveness: Liveness, now: float) -> None:
        liveness.sweeps += 1
        try:
            self._close_if_due(session, liveness, now)
        except Exception as error:
            session.fail(error)
        if session.close_reason is not None:
            liveness.closing_sweeps += 1
            self._force_if_due(session, liveness)

    def _close_if_due(self, session: Session, liveness: Liveness, now: float) -> None:
        if liveness.sweeps % self._heartbeat_sweeps == 0:
            session.send_heartbeat()
        if session.identity.expires_at is not None and session.identity.expires_at <= now:
            session.close(CloseReason(CloseCode.TOKEN_EXPIRED, "the token has expired"))
        if session.transport is None:
            if liveness.sweeps > self._policy.no_transport_after_sweeps:
                session.close(CloseReason(CloseCode.TOO_SLOW, "the client has not begun to read"))
                self._remove(session)
            return
        oldest = session.transport.oldest_unsent
        is_stalled = oldest is not None and oldest == liveness.last_oldest_unsent
        liveness.stalled_sweeps = liveness.stalled_sweeps + 1 if is_stalled else 0
        liveness.last_oldest_unsent = oldest
        if liveness.stalled_sweeps >= self._policy.stalled_after_sweeps:
            session.close(CloseReason(CloseCode.TOO_SLOW, "the client has stopped reading"))

    def _force_if_due(self, session: Session, liveness: Liveness) -> None:
        if session.transport is None or liveness.closing_sweeps <= self._policy.force_close_after_sweeps:
            return
        try:
            session.transport.force_close()
        except Exception as error:
            session.fail(error)
            # Its transport will not end the session, so it is removed here.
            self._remove(session)
