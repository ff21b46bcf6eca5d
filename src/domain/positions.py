"""Positions and cursors: how far a session is in its streams, and whether it can resume from there."""

import hashlib
import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final

import msgspec

from domain.streams import StreamName, is_inbox, public_name


class Head(msgspec.Struct, frozen=True):
    """The end of a stream: `last` is its newest position, `pruned` the newest position that is no longer stored (0, 0
    for an empty stream).

    For an inbox, `not_before` is its owner's latest sign-out, and `unread` the number of its notifications that are
    neither read nor archived.
    """

    last: int = 0
    pruned: int = 0
    not_before: datetime | None = None
    unread: int = 0


class Cursor(msgspec.Struct, frozen=True):
    """A client's position in each stream, by the public name of the stream: the client has received everything up to
    there.

    `epoch` is that of the store. `tag` identifies the user without revealing the id ("" for an anonymous session). As
    text a cursor is `1.<epoch>.<tag>.<stream>:<position>,…`; clients and all other modules treat the text as opaque.
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
    """Parses a cursor. Returns None for any text that is not a cursor of Herald."""
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
    """Returns the user's tag in a cursor: enough to detect a cursor of another user, too little to
    identify the user.
    """
    return "" if user is None else hashlib.blake2b(user.encode(), digest_size=6).hexdigest()


class ResumePoint(msgspec.Struct, frozen=True):
    """The positions at which a session begins. `gaps` are the streams, by public name, in which requested entries may
    be missing. `behind` are the streams that have newer entries than the session. `unread` is the inbox's unread total;
    None for a session without an inbox.
    """

    positions: dict[StreamName, int]
    resumed: bool = False
    gaps: tuple[str, ...] = ()
    behind: frozenset[StreamName] = frozenset()
    unread: int | None = None


def resolve_start(
    cursor: Cursor | None, lost: bool, epoch: str, tag: str, heads: Mapping[StreamName, Head]
) -> ResumePoint:
    """Returns where a session with the streams `heads` begins, given the cursor of its client. `lost` means that the
    client sent a cursor that can't be read.

    A stream that is not in the cursor begins at its head. A position older than the stored entries is a gap, and the
    session receives everything that is stored. An impossible position (beyond the head, or of another epoch or user) is
    a gap too. It does not show what the client has received, so the session begins at the head.
    """
    ends = {stream: head.last for stream, head in heads.items()}
    unread = next((head.unread for stream, head in heads.items() if is_inbox(stream)), None)
    if lost or (cursor is not None and (cursor.epoch != epoch or cursor.tag != tag)):
        return ResumePoint(ends, gaps=tuple(public_name(stream) for stream in heads), unread=unread)
    if cursor is None:
        return ResumePoint(ends, unread=unread)
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
    return ResumePoint(positions, resumed=not gaps, gaps=tuple(gaps), behind=behind, unread=unread)
