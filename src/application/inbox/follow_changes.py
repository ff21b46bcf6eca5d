"""Following an inbox by polling: the counterpart of a session's resume."""

from collections.abc import Sequence

import msgspec

from application.ports.inboxes import Inboxes
from application.ports.store import Store
from domain.notification_state import NotificationState
from domain.notifications import Notification
from domain.positions import Cursor, read_cursor, resolve_start, tag_of
from domain.streams import INBOX, Entry, inbox_of


class Changes(msgspec.Struct, frozen=True):
    """The changes of an inbox: each notification once, in its current state, in the order of `changed`.

    `cursor` is the cursor for the next request. `more` says whether there are more changes already. `gap` means that
    changes are missing, because they are no longer stored or the given cursor was unusable: fetch the list, then
    continue from `cursor`.
    """

    notifications: Sequence[Notification]
    cursor: str
    more: bool
    gap: bool
    unread: int


class FollowChanges:
    """Returns the changes of a user's own inbox since a cursor. The cursor may be from a previous result, from a list
    of the inbox, or from a session.

    Without a cursor, the result has no changes, only the cursor to start with. A cursor that can't be read, is of
    another epoch or user, or precedes the oldest stored entry, leads to a gap; the new cursor continues where a session
    would start. Positions of other streams in the cursor are returned unchanged. Muted notifications are among the
    changes: they are stored, but not pushed. Raises StoreUnavailable.
    """

    def __init__(self, inboxes: Inboxes, store: Store) -> None:
        self._inboxes = inboxes
        self._store = store

    async def __call__(self, user: str, since: str | None, limit: int) -> Changes:
        """Returns about `limit` changes. There may be more, because all changes at one position are returned together,
        and a mass change has one position for up to 500 notifications."""
        stream, tag = inbox_of(user), tag_of(user)
        epoch = await self._store.epoch()
        cursor = None if since is None else read_cursor(since)
        lost = since is not None and cursor is None
        start = resolve_start(cursor, lost, epoch, tag, await self._store.heads([stream]))
        page = await self._store.changes(stream, start.positions[stream], limit)
        notifications = await self._current(user, page.entries)
        others = cursor.positions if cursor is not None and (cursor.epoch, cursor.tag) == (epoch, tag) else {}
        return Changes(
            notifications=notifications,
            cursor=str(Cursor(epoch, tag, {**others, INBOX: page.upto})),
            more=page.upto < page.head.last,
            # Pruning may have continued between the two reads.
            gap=bool(start.gaps) or page.head.pruned > start.positions[stream],
            unread=page.head.unread,
        )

    async def _current(self, user: str, entries: Sequence[Entry]) -> list[Notification]:
        """Returns the notifications of the entries. An entry does not contain the time at which its notification was
        read, so notifications that have changed since they arrived are read again. They may have changed once more
        since (then another entry follows), or have been pruned (then they are left out)."""
        changed = {entry.id for entry in entries if entry.changed != entry.seq and entry.kind == "arrival"}
        found = await self._inboxes.some(user, changed)
        return [
            found[entry.id] if entry.id in found else _notification_of(user, entry)
            for entry in entries
            if entry.id in found or entry.id not in changed
        ]


def _notification_of(user: str, entry: Entry) -> Notification:
    read_at = entry.stored_at if entry.read else None
    return Notification(
        id=entry.id,
        user=user,
        seq=entry.seq,
        changed=entry.changed,
        stored_at=entry.stored_at,
        updated_at=entry.stored_at,
        content=entry.content,
        state=NotificationState(read_at, archived=entry.kind == "archived", muted=entry.muted),
    )
