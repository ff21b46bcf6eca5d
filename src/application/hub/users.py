"""The users who are here, and how many sessions each may have."""

from collections.abc import Iterator
from itertools import islice
from typing import Final

from application.hub.session import Session
from application.ports.presence import Presence
from domain.errors import TooManyAnonymous, TooManySessions, TooManySessionsElsewhere

# Users told of together: what is said of the last of them must be true still.
AT_ONCE: Final = 500


class Users:
    """A user may have `most` sessions on one node. On all nodes together that limit is soft: nodes learn of each
    other's sessions a moment late, so who exceeds it only by those is asked to try again, not to stay away.

    Sessions without a user may be `most_anonymous` on this node; None is no limit."""

    def __init__(self, presence: Presence, most: int, most_anonymous: int | None = None) -> None:
        self._presence = presence
        self._most = most
        self._most_anonymous = most_anonymous
        self._anonymous: set[Session] = set()
        self._sessions: dict[str, set[Session]] = {}
        self._untold: set[str] = set()  # who has fewer sessions than the other nodes know

    def __iter__(self) -> Iterator[str]:
        return iter(self._sessions)

    def sessions(self, user: str) -> list[Session]:
        return list(self._sessions.get(user, ()))

    def enter(self, session: Session) -> None:
        """Raises TooManySessions, TooManyAnonymous."""
        if session.user is None:
            if self._most_anonymous is not None and len(self._anonymous) >= self._most_anonymous:
                raise TooManyAnonymous
            self._anonymous.add(session)
            return
        others = self._sessions.setdefault(session.user, set())
        if len(others) >= self._most:
            raise TooManySessions
        others.add(session)

    async def check_elsewhere(self, session: Session) -> None:
        """Tells the other nodes of one who has entered. Raises TooManySessionsElsewhere."""
        if session.user is None:
            return
        here = len(self._sessions[session.user])
        if here + await self._presence.enter(session.user, here) > self._most:
            raise TooManySessionsElsewhere

    def leave(self, session: Session) -> None:
        """May be called more than once."""
        user = session.user
        self._anonymous.discard(session)
        if user is None or session not in (others := self._sessions.get(user, set())):
            return
        others.discard(session)
        self._untold.add(user)
        if not others:
            del self._sessions[user]

    async def tell(self, everyone: bool) -> None:
        """Tells the other nodes of those who have left since; or once more of everyone, to a presence that may have
        forgotten. Who could not be told of now is the next time."""
        if everyone:
            self._untold.update(self._sessions)
        while self._untold:
            some = list(islice(self._untold, AT_ONCE))
            self._untold.difference_update(some)
            if not await self._presence.update({user: len(self._sessions.get(user, ())) for user in some}):
                self._untold.update(some)
                return
