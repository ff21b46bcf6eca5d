"""Positions: which entries of each stream were received, and the resume point that follows from them."""

from collections.abc import Sequence
from typing import Annotated, Any

import msgspec

from herald_client.objects import Entry, Gap, Hello, Item, Unknown


class ResumePoint(msgspec.Struct, frozen=True):
    """Where to resume: the last cursor that the service sent, and the position received last in each stream since then.

    The positions are valid for the user and the epoch that the cursor contains.
    """

    cursor: str
    positions: dict[str, Annotated[int, msgspec.Meta(ge=0)]] = {}


class Positions:
    """Records the position received last in each stream, and detects duplicate entries."""

    def __init__(self) -> None:
        self._cursor: str | None = None
        self._positions: dict[str, int] = {}
        # By stream, the ids of the entries received at its last position: when many notifications are marked with one
        # request, their entries share a position. A stream is absent if all entries of its last position were received.
        self._newest_ids: dict[str, set[str]] = {}

    def start_at(self, resume_point: ResumePoint | None) -> None:
        """Starts at a stored resume point. All entries up to it were processed earlier."""
        if resume_point is not None:
            self._cursor = resume_point.cursor
            self._positions = dict(resume_point.positions)

    @property
    def resume_point(self) -> ResumePoint | None:
        """The resume point after all received entries; None before the first `hello`."""
        return ResumePoint(self._cursor, dict(self._positions)) if self._cursor is not None else None

    def apply_hello(self, hello: Hello) -> None:
        """Applies the positions of `hello`. In a stream with a gap, the position of `hello` replaces the recorded one,
        even if it is lower. In all other streams the higher of the two applies.
        """
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
        """Applies the cursor of a heartbeat. It may be beyond the last received entry, if later entries were not sent
        because of the filter `types`."""
        self._cursor = cursor

    def is_new(self, item: Item) -> bool:
        """Records an item as received. Returns False if it is a duplicate."""
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


def advanced(resume_point: ResumePoint, processed: Sequence[Item], unprocessed: Sequence[Item]) -> ResumePoint:
    """Returns the resume point after only part of a frame was processed. A position is included if all of its items
    were processed."""
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
    """Returns stream, position and id of an item. The stream is "" for an item without a stream, such as Hello."""
    if isinstance(item, Entry):
        return item.stream, item.position, item.id
    if isinstance(item, Gap):
        return item.stream, item.upto, ""
    if isinstance(item, Unknown):
        return _position_of_unknown(item.fields)
    return "", 0, ""


def _position_of_unknown(fields: dict[str, Any]) -> tuple[str, int, str]:
    """Returns the same for an object of an unknown kind. It is treated as an entry if it has a stream and a
    position."""
    stream, position = fields.get("stream"), fields.get("changed") or fields.get("seq")
    if isinstance(stream, str) and isinstance(position, int):
        return stream, position, str(fields.get("id"))
    return "", 0, ""
