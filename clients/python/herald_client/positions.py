"""Records which position the client has received in each stream. With the last cursor, these positions are the resume
point, which the client sends to Herald when it connects again."""

from collections.abc import Sequence
from typing import Annotated, Any

import msgspec

from herald_client.objects import Entry, Gap, Hello, Item, Seen, Unknown


class ResumePoint(msgspec.Struct, frozen=True):
    """What the client sends to Herald to continue after a disconnect: the cursor that Herald sent last, and the last
    position received in each stream since then."""

    cursor: str
    positions: dict[str, Annotated[int, msgspec.Meta(ge=0)]] = {}


class Positions:
    """Records the last received position of each stream, detects duplicate entries, and makes the resume point: the
    last cursor and these positions."""

    def __init__(self) -> None:
        self._cursor: str | None = None
        self._positions: dict[str, int] = {}
        # By stream, the ids of the entries received at its last position: when many notifications are marked with one
        # request, their entries share a position. A stream is absent if all entries of its last position were received.
        self._newest_ids: dict[str, set[str]] = {}

    def start_at(self, resume_point: ResumePoint | None) -> None:
        """Sets the cursor and the positions to those of a stored resume point. Called once, before the first
        connection. With None, the session starts with new entries only."""
        if resume_point is not None:
            self._cursor = resume_point.cursor
            self._positions = dict(resume_point.positions)

    @property
    def resume_point(self) -> ResumePoint | None:
        """The last cursor and the last received position of each stream. None before the first `hello`, unless
        `start_at` has set a stored one."""
        return ResumePoint(self._cursor, dict(self._positions)) if self._cursor is not None else None

    def apply_hello(self, hello: Hello) -> None:
        """Updates the cursor and the positions from `hello`. In a stream with a gap, the position of `hello` replaces
        the recorded one, even if it is lower. In any other stream, the higher of the two is recorded. If the session
        has not resumed, streams that `hello` does not list are removed: their positions may be from another epoch."""
        if not hello.resumed:
            # The epoch may have changed. Then the positions of streams that this session does not include are invalid.
            self._positions = {name: at for name, at in self._positions.items() if name in hello.positions}
        for name, position in hello.positions.items():
            if name in hello.gap:
                self._positions[name] = position
                self._newest_ids.pop(name, None)
            else:
                self._advance(name, position)
        self._cursor = hello.cursor

    def apply_heartbeat(self, cursor: str) -> None:
        """Records the cursor of a heartbeat. It may be ahead of the last received entry if the filter `types` excludes
        later entries; resuming from it skips these entries."""
        self._cursor = cursor

    def is_new(self, item: Item) -> bool:
        """Returns whether an item is new. False only for an entry that was received before, or whose position is lower
        than the last one of its stream. The position of a new entry or a Gap is recorded; items that belong to no
        stream are always new."""
        stream, position, id = _position_of(item)
        if isinstance(item, Gap):
            self._advance(stream, position)
            return True
        if not stream:
            return True
        known = self._positions.get(stream, 0)
        if position > known:
            self._positions[stream] = position
            self._newest_ids[stream] = {id}
            return True
        newest_ids = self._newest_ids.get(stream)
        if position < known or newest_ids is None or id in newest_ids:
            return False
        newest_ids.add(id)
        return True

    def _advance(self, stream: str, position: int) -> None:
        if position > self._positions.get(stream, -1):
            self._positions[stream] = position
            self._newest_ids.pop(stream, None)


def resume_point_after(
    resume_point: ResumePoint, processed: Sequence[Item], unprocessed: Sequence[Item]
) -> ResumePoint:
    """Returns the resume point after the caller has processed only a part of a frame. A position is included only if no
    unprocessed item of its stream has the same or a lower position: entries that were changed with one request, such as
    many notifications marked as read, share one position."""
    lowest_left: dict[str, int] = {}
    for item in unprocessed:
        stream, position, _ = _position_of(item)
        lowest_left[stream] = min(position, lowest_left.get(stream, position))
    positions = dict(resume_point.positions)
    for item in processed:
        stream, position, _ = _position_of(item)
        if stream and position < lowest_left.get(stream, position + 1):
            positions[stream] = max(position, positions.get(stream, 0))
    return ResumePoint(resume_point.cursor, positions)


def _position_of(item: Item) -> tuple[str, int, str]:
    """Returns the stream, position and id of an item. The stream is "" for an item that belongs to no stream, such as
    Hello; the position of a Gap is its `upto`. The id of a Seen or a Gap is ""."""
    if isinstance(item, Entry):
        return item.stream, item.position, item.id
    if isinstance(item, Seen):
        return item.stream, item.position, ""
    if isinstance(item, Gap):
        return item.stream, item.upto, ""
    if isinstance(item, Unknown):
        return _position_of_unknown(item.fields)
    return "", 0, ""


def _position_of_unknown(fields: dict[str, Any]) -> tuple[str, int, str]:
    """Returns the stream, position and id of an object whose kind this client does not support. The stream is "" if the
    object has no stream or no position."""
    stream, position = fields.get("stream"), fields.get("changed") or fields.get("seq")
    if isinstance(stream, str) and isinstance(position, int):
        return stream, position, str(fields.get("id"))
    return "", 0, ""
