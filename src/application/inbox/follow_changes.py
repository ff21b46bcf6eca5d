"""Polling an inbox for changes, for clients that have no session."""

from collections.abc import Sequence

import msgspec

from application.ports.inboxes import Inboxes
from application.ports.store import Store
from domain.notification_state import NotificationState
from domain.notifications import Notification
from domain.positions import Cursor, Head, read_cursor, resolve_start, tag_of
from domain.streams import INBOX, Entry, Seen, inbox_of


class Changes(msgspec.Struct, frozen=True):
    """The changes of an inbox since a cursor: each changed notification once, in its current state, ordered by
    `changed`.

    - `cursor`: the cursor for the next request.
    - `more`: whether there are further changes now, which the next request returns.
    - `gap`: whether changes may be missing, because they are no longer stored or the given cursor was not usable. The
      client then has to fetch the list of the inbox, and continue from `cursor`.
    - `head`: the head of the inbox when the changes were read, with the unread and unseen totals and the watermark.
    - `seen`: the last move of the watermark, if it is among these changes; otherwise None.
    """

    notifications: Sequence[Notification]
    cursor: str
    more: bool
    gap: bool
    head: Head
    seen: Seen | None


class FollowChanges:
    """Returns the changes of a user's own inbox since a cursor, for a client that polls. The cursor may be from a
    previous result, from a list of the inbox, or from a session.

    Without a cursor, the result contains no changes, only the cursor to start from. The result has `gap` set if the
    cursor can't be read, is of another epoch or user, or is beyond the head; its new cursor then continues at the head.
    It also has `gap` set if changes after the cursor have been deleted; it then contains the changes that are still
    stored.

    If a usable cursor has positions in other streams too, the new cursor contains them unchanged. Notifications that
    were not pushed because of the user's preferences are among the changes. Raises StoreUnavailable.
    """

    def __init__(self, inboxes: Inboxes, store: Store) -> None:
        self._inboxes = inboxes
        self._store = store

    async def __call__(self, user: str, since: str | None, limit: int) -> Changes:
        """Returns about `limit` changes after the cursor `since`. All changes at one position are returned together,
        and a request such as "mark all as read" changes up to 500 notifications at one position, so there may be more
        than `limit`."""
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
            head=page.head,
            seen=page.seen,
        )

    async def _current(self, user: str, entries: Sequence[Entry]) -> list[Notification]:
        """Returns the notifications of the entries, in their current state. Those that have changed since their arrival
        are read from the inbox, because an entry does not contain the time at which the notification was marked read.
        Notifications that have been deleted meanwhile are left out."""
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
