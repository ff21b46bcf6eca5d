"""The count of unread notifications up to the watermark of an inbox: the column `seen_unread`.

An arrival does not change the count, so it costs nothing there: the number of unseen notifications is `unread_count`
minus `seen_unread`. State changes, moves of the watermark and retention maintain the count.

Nodes of version 0.4 do not maintain it. So `seen_counted` has the value of `last_seq - entry_count` at which the count
was correct. An arrival adds 1 to both columns and does not change the difference; every state change and every deletion
increases it, whichever version makes it. If the difference is another one, the notifications have to be counted again.
"""

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import ColumnElement, Update, bindparam, case, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.sql.state_columns import seen_unread
from adapters.sql.tables import InboxRow, NotificationRow

_inboxes: Final[Any] = InboxRow.__table__
_notifications: Final[Any] = NotificationRow.__table__.alias("counted")

_DIFFERENCE: Final = _inboxes.c.last_seq - _inboxes.c.entry_count

_COUNT: Final = (
    select(func.count())
    .select_from(_notifications)
    .where(_notifications.c.user_id == _inboxes.c.user_id, *seen_unread(_notifications.c, _inboxes.c.seen_seq))
    .correlate(_inboxes)
    .scalar_subquery()
)

# Whether `seen_unread` may be wrong. It is 0, and correct, as long as the watermark is 0.
IS_OUTDATED: Final[ColumnElement[bool]] = (_inboxes.c.seen_seq > 0) & (_inboxes.c.seen_counted != _DIFFERENCE)

# The correct count, for statements that only read.
SEEN_UNREAD: Final[ColumnElement[int]] = case((IS_OUTDATED, _COUNT), else_=_inboxes.c.seen_unread).label("seen_unread")

_RECOUNT: Final[Update] = (
    update(InboxRow)
    .where(_inboxes.c.user_id == bindparam("user"))
    .values(seen_unread=_COUNT, seen_counted=_DIFFERENCE)
    .returning(_inboxes.c.seen_unread)
)


async def recount(connection: AsyncConnection, users: Sequence[str]) -> dict[str, int]:
    """Counts again for inboxes whose rows this transaction has locked, and whose count IS_OUTDATED. Stores and returns
    the correct counts, by user. A separate statement after the lock: a statement that waits for a lock does not see the
    notifications that were changed meanwhile."""
    return {user: await connection.scalar(_RECOUNT, {"user": user}) for user in users}
