"""Checks all sessions after the routes were replaced."""

import asyncio
import random

from application.hub.hub import Hub
from application.hub.periodic import chunked
from application.hub.policy import HubPolicy
from application.hub.session import Session
from application.hub.session_request import ReplacementSession
from application.live.open_session import OpenSession
from domain.protocol.herald_v1 import CloseCode, CloseReason


class RecheckSessions:
    """Ends each session whose client would get other streams by the routes in force, so that a new one takes its place.

    On a WebSocket, the new session follows on the same socket, from the positions of the old one: a `herald.v1` client
    receives a new `hello`, or is closed if it may not follow any more what it has requested. A `herald.v1` client that
    has not received its first `hello` yet is asked to reconnect, because its first command may be in progress. An event
    stream ends, and its client reconnects by itself.
    """

    def __init__(self, hub: Hub, open_session: OpenSession, policy: HubPolicy) -> None:
        self._hub = hub
        self._open_session = open_session
        self._policy = policy

    async def __call__(self) -> int:
        """Checks all sessions that are open now, with pauses. Returns how many were ended."""
        ended = 0
        async for sessions in chunked(list(self._hub.sessions), self._policy):
            outdated = [one for one in sessions if one in self._hub.sessions and not self._open_session.is_current(one)]
            for session in outdated:
                self._end(session)
            ended += len(outdated)
            # Each new session reads its positions from the store, so they are not opened all at once.
            await asyncio.sleep(len(outdated) * self._policy.reopening_s)
        return ended

    def _end(self, session: Session) -> None:
        awaits_command = session.view.protocol and not session.hello_sent
        if session.view.transport == "sse" or awaits_command:
            reconnect_in = random.uniform(*self._policy.reconnect_in_s)
            session.close(CloseReason(CloseCode.RESTARTING, "the routes have changed", reconnect_in))
        else:
            session.replace(ReplacementSession(session.identity))
