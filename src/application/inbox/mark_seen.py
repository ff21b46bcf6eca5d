"""Moving the watermark of an inbox: the position up to which its user has seen the notifications."""

from uuid import UUID

from application.announce import announce
from application.counters import Counters
from application.inbox.find_position import find_position
from application.ports.backplane import Backplane
from application.ports.clock import Clock
from application.ports.inboxes import Inboxes
from application.ports.store import Store
from domain.positions import Head
from domain.streams import Seen, inbox_of


class MarkSeen:
    """Moves the watermark of a user's own inbox, and publishes the move to the user's sessions on all nodes.

    Requests may be repeated and may overtake one another: the watermark never moves back, and a request that does not
    move it takes no position and is not published. If publishing fails, the move is stored nevertheless, and sessions
    receive it when their hub next compares its streams with the store. Raises StoreUnavailable.
    """

    def __init__(self, inboxes: Inboxes, store: Store, backplane: Backplane, clock: Clock, counters: Counters) -> None:
        self._inboxes = inboxes
        self._store = store
        self._backplane = backplane
        self._clock = clock
        self._counters = counters

    async def __call__(self, user: str, up_to: int | UUID | None = None) -> Head:
        """Marks as seen all notifications of the inbox that arrived up to and including `up_to`: a position, or the id
        of a notification. By default, all that have arrived before the call. Returns the head of the inbox afterwards.
        Raises NotFound if there is no notification with the id."""
        upto = await find_position(self._inboxes, self._store, user, up_to)
        seen = await self._inboxes.see(user, upto)
        head = seen.head
        if seen.is_moved:
            entry = Seen(inbox_of(user), head.seen_seq, head.seen_changed, head.unseen, self._clock.now())
            await announce(self._backplane, self._counters, [entry])
        return head
