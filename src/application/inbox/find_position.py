"""The position in an inbox up to which an operation applies, which callers give as `up_to`."""

from uuid import UUID

from application.ports.inboxes import Inboxes
from application.ports.store import Store
from domain.caller_errors import NotFound
from domain.streams import inbox_of


async def find_position(inboxes: Inboxes, store: Store, user: str, up_to: int | UUID | None) -> int:
    """Returns the position in the user's inbox that `up_to` stands for: a position itself, or the id of a notification,
    whose `seq` is returned. None stands for the last position that is assigned now, and so does any later position. For
    a negative number, returns 0. Raises NotFound if there is no notification with the id."""
    if isinstance(up_to, UUID):
        notification = await inboxes.get(user, up_to)
        if notification is None:
            raise NotFound("The notification whose id is given as up_to does not exist.")
        return notification.seq
    stream = inbox_of(user)
    last = (await store.heads([stream]))[stream].last
    return last if up_to is None else min(max(up_to, 0), last)
