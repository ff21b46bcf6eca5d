"""The users who have sessions on this node, and the limits of the number of sessions."""

from collections.abc import Iterator
from itertools import islice

from application.hub.policy import HubPolicy
from application.hub.session import Session
from application.ports.backplane import Backplane
from application.ports.presence import Presence
from domain.caller_errors import TooManyAnonymous, TooManySessions, TooManySessionsElsewhere


class ConnectedUsers:
    """Counts the sessions of each user on this node, reports the numbers to the other nodes, and refuses sessions above
    the limits. Iteration yields the ids of all users with sessions on this node.

    `sessions_per_user` limits a user's sessions on this node exactly. On all nodes together it limits them
    approximately, because the numbers of other nodes arrive with a delay. So a client that is refused only because of
    sessions on other nodes (TooManySessionsElsewhere) may try again.
    """

    def __init__(self, presence: Presence, backplane: Backplane, policy: HubPolicy) -> None:
        self._presence = presence
        self._backplane = backplane
        self._policy = policy
        self._anonymous: set[Session] = set()
        self._sessions: dict[str, set[Session]] = {}
        self._unreported: set[str] = set()  # users with fewer sessions than were last reported
        self._reports = 0
        self._reported_outages = backplane.outages  # outages of the backplane after which all users were reported

    def __iter__(self) -> Iterator[str]:
        return iter(self._sessions)

    def __contains__(self, user: str) -> bool:
        return user in self._sessions

    def sessions(self, user: str) -> list[Session]:
        return list(self._sessions.get(user, ()))

    def add(self, session: Session) -> None:
        """Counts a new session. Raises TooManySessions if its user already has the maximum number of sessions on this
        node, or TooManyAnonymous if it has no user and this node already has the maximum number of such sessions."""
        policy = self._policy
        if session.user is None:
            if policy.anonymous_sessions is not None and len(self._anonymous) >= policy.anonymous_sessions:
                raise TooManyAnonymous
            self._anonymous.add(session)
            return
        sessions = self._sessions.setdefault(session.user, set())
        if len(sessions) >= policy.sessions_per_user:
            raise TooManySessions
        sessions.add(session)

    async def check_other_nodes(self, session: Session) -> None:
        """Reports to the other nodes how many sessions the user has on this node, including the given one, which must
        have been added. Raises TooManySessionsElsewhere if the user has more than `sessions_per_user` on all nodes
        together. A no-op for a session without a user."""
        if session.user is None:
            return
        here = len(self._sessions[session.user])
        if here + await self._presence.enter(session.user, here) > self._policy.sessions_per_user:
            raise TooManySessionsElsewhere

    def remove(self, session: Session) -> None:
        """Removes an ended session from the counts of this node. The next `report` sends the new number to the other
        nodes. A no-op if the session is not counted."""
        user = session.user
        self._anonymous.discard(session)
        if user is None or session not in (sessions := self._sessions.get(user, set())):
            return
        sessions.discard(session)
        self._unreported.add(user)
        if not sessions:
            del self._sessions[user]

    async def report(self) -> None:
        """Sends to the other nodes how many sessions users have on this node: for the users who have fewer than at the
        last report or, every `full_report_sweeps` calls and after an outage of the backplane, for all users, because
        the other nodes may have lost these numbers. If sending fails, the next call repeats it."""
        self._reports += 1
        if self._backplane.fault is not None:
            return
        outages = self._backplane.outages
        if outages != self._reported_outages or self._reports % self._policy.full_report_sweeps == 0:
            self._unreported.update(self._sessions)
        await self._report_changes()
        self._reported_outages = outages

    async def _report_changes(self) -> None:
        while self._unreported:
            # Reported in batches, so that each count is read just before it is sent.
            batch = list(islice(self._unreported, self._policy.max_batch))
            self._unreported.difference_update(batch)
            if not await self._presence.update({user: len(self._sessions.get(user, ())) for user in batch}):
                self._unreported.update(batch)
                return
