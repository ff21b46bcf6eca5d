"""Positions and cursors: how much of each stream a client has received, and where a session starts."""

import hashlib
import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final

import msgspec

from domain.streams import Seen, StreamName, is_inbox, public_name


class Head(msgspec.Struct, frozen=True):
    """The state of a stream in the store. `last` is the last position that was assigned in it. `pruned` is the position
    of the newest arrival that was deleted because of its age or number; all earlier arrivals are deleted, too. Both are
    0 for a stream without entries.

    For an inbox, `not_before` is the time of its user's latest sign-out, and `unread` is the number of unread
    notifications. `seen_seq` is the watermark: the position of the newest notification that the user has seen; 0 if
    none. The watermark was moved there at position `seen_changed`. `seen_unread` is the number of unread notifications
    up to the watermark. It is stored instead of `unseen`, because an arrival does not change it.
    """

    last: int = 0
    pruned: int = 0
    not_before: datetime | None = None
    unread: int = 0
    seen_seq: int = 0
    seen_changed: int = 0
    seen_unread: int = 0

    @property
    def unseen(self) -> int:
        """The number of unseen notifications: those that are unread and have arrived after the watermark."""
        return self.unread - self.seen_unread

    def seen_between(self, stream: StreamName, after: int, upto: int) -> Seen | None:
        """Returns the entry about the watermark of this inbox, if its position is greater than `after` and at most
        `upto`; otherwise None.
        """
        if not after < self.seen_changed <= upto:
            return None
        return Seen(stream, self.seen_seq, self.seen_changed, self.unseen)


class Cursor(msgspec.Struct, frozen=True):
    """The positions up to which a client has received everything, by the public name of the stream (`inbox`, or the
    name of a feed).

    `epoch` is the epoch of the store. `tag` identifies the user without revealing the id; it is empty for an anonymous
    session. The text of a cursor is `1.<epoch>.<tag>.<stream>:<position>,…`. Only this module uses the parts of the
    text; for clients and all other modules it is opaque.
    """

    epoch: str
    tag: str
    positions: Mapping[str, int]

    def __str__(self) -> str:
        return cursor_text(self.epoch, self.tag, self.positions.items())


# Enough for a hundred feeds with names of maximum length.
MAX_CURSOR_LENGTH: Final = 16 * 1024

_CURSOR: Final = re.compile(r"1\.([A-Za-z0-9]+)\.([0-9a-f]*)\.([A-Za-z0-9_:,-]*)\Z")

# At most 15 digits: JavaScript numbers can't represent longer positions exactly.
_POSITION: Final = re.compile(r"([A-Za-z0-9_-]+):([0-9]{1,15})\Z")


def cursor_text(epoch: str, tag: str, positions: Iterable[tuple[str, int]]) -> str:
    return f"1.{epoch}.{tag}.{','.join(f'{name}:{position}' for name, position in positions)}"


def read_cursor(text: str) -> Cursor | None:
    """Parses the text of a cursor. Returns None if the text is not that of a cursor."""
    match = _CURSOR.match(text) if len(text) <= MAX_CURSOR_LENGTH else None
    if match is None:
        return None
    positions = {}
    for pair in match[3].split(",") if match[3] else ():
        position = _POSITION.match(pair)
        if position is None:
            return None
        positions[position[1]] = int(position[2])
    return Cursor(match[1], match[2], positions)


def tag_of(user: str | None) -> str:
    """Returns the tag of a user in cursors: a hash of the user id, which is too short to identify the user, but long
    enough to detect the cursor of another user. Empty text for None, an anonymous caller.
    """
    return "" if user is None else hashlib.blake2b(user.encode(), digest_size=6).hexdigest()


class ResumePoint(msgspec.Struct, frozen=True):
    """Where a session starts. `positions` has its position in each of its streams: the session is sent the entries
    after that position. `resumed` is true if the client's cursor was used and there is no gap. `gaps` are the streams,
    by public name, in which entries after the cursor may be missing. `behind` are the streams that have newer entries
    than the session's position. `unread` and `unseen` are the numbers of unread and of unseen notifications in the
    inbox; None for a session without an inbox.
    """

    positions: dict[StreamName, int]
    resumed: bool = False
    gaps: tuple[str, ...] = ()
    behind: frozenset[StreamName] = frozenset()
    unread: int | None = None
    unseen: int | None = None


def resolve_start(
    cursor: Cursor | None, lost: bool, epoch: str, tag: str, heads: Mapping[StreamName, Head]
) -> ResumePoint:
    """Decides at which position a session starts in each of its streams, which are the keys of `heads`. `cursor` is the
    client's cursor; None without one. `lost` means that the client sent a text that is not a cursor.

    In a stream that is in the cursor, the session starts at that position. If entries after it were deleted, that is a
    gap, and the session starts with the oldest entry that is still stored. A position beyond the head is a gap as well;
    then the session starts at the head. Without a cursor, and in a stream that the cursor does not contain, the session
    starts at the head without a gap. If the cursor is lost, or has another epoch or another user's `tag`, the session
    starts at the head of every stream, each with a gap.
    """
    ends = {stream: head.last for stream, head in heads.items()}
    inbox = next((head for stream, head in heads.items() if is_inbox(stream)), None)
    unread, unseen = (None, None) if inbox is None else (inbox.unread, inbox.unseen)
    if lost or (cursor is not None and (cursor.epoch != epoch or cursor.tag != tag)):
        return ResumePoint(ends, gaps=tuple(map(public_name, heads)), unread=unread, unseen=unseen)
    if cursor is None:
        return ResumePoint(ends, unread=unread, unseen=unseen)
    positions: dict[StreamName, int] = {}
    gaps = []
    for stream, head in heads.items():
        name = public_name(stream)
        asked = cursor.positions.get(name, head.last)
        if head.pruned <= asked <= head.last:
            positions[stream] = asked
        else:
            gaps.append(name)
            positions[stream] = head.last if asked > head.last else head.pruned
    behind = frozenset(stream for stream, position in positions.items() if position < ends[stream])
    return ResumePoint(positions, not gaps, tuple(gaps), behind, unread, unseen)
