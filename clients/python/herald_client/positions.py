"""Positions: which entries of each stream were received, and what is stored to resume from."""

from collections.abc import Sequence
from typing import Annotated, Any

import msgspec

from herald_client.objects import Entry, Gap, Hello, Item, Unknown


class ResumePoint(msgspec.Struct, frozen=True):
    """Where to resume: the last cursor from the service, and the positions received since, by stream.

    The cursor determines the user and the epoch of these positions.
    """

    cursor: str
    positions: dict[str, Annotated[int, msgspec.Meta(ge=0)]] = {}


class Positions:
    """The received positions, and the detection of duplicate entries."""

    def __init__(self) -> None:
        self._cursor: str | None = None
        self._positions: dict[str, int] = {}
        # The ids received at the newest position of a stream, because a bulk change has several entries at one
        # position. A stream is absent if its position is complete.
        self._newest_ids: dict[str, set[str]] = {}

    def start_at(self, resume_point: ResumePoint | None) -> None:
        """Start at a stored resume point, up to which everything has been processed."""
        if resume_point is not None:
            self._cursor = resume_point.cursor
            self._positions = dict(resume_point.positions)

    @property
    def resume_point(self) -> ResumePoint | None:
        """The current resume point; None before the first `hello`."""
        return ResumePoint(self._cursor, dict(self._positions)) if self._cursor is not None else None

    def apply_hello(self, hello: Hello) -> None:
        """Apply the positions of `hello`. In a stream with a gap, the position of `hello` applies, even if it is lower.
        In other streams it is at most the position that was sent to resume, or lower if only a cursor was sent.
        """
        if not hello.resumed:
            # The epoch may have changed: positions of streams that this session does not have may have become invalid.
            self._positions = {name: at for name, at in self._positions.items() if name in hello.positions}
        for name, position in hello.positions.items():
            if name in hello.gap:
                self._positions[name] = position
                self._newest_ids.pop(name, None)
            else:
                self._advance(name, position)
        self._cursor = hello.cursor

    def apply_heartbeat(self, cursor: str) -> None:
        """Apply the cursor of a heartbeat. It is ahead of the entries if some are filtered out."""
        self._cursor = cursor

    def is_new(self, item: Item) -> bool:
        """Whether the item was not received before. It counts as received from then on."""
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
    """The resume point after part of a frame was processed. A position with an unprocessed item does not count."""
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
    """Stream, position and id of an item; the stream is empty for an item that belongs to none."""
    if isinstance(item, Entry):
        return item.stream, item.position, item.id
    if isinstance(item, Gap):
        return item.stream, item.upto, ""
    if isinstance(item, Unknown):
        return _position_of_unknown(item.fields)
    return "", 0, ""


def _position_of_unknown(fields: dict[str, Any]) -> tuple[str, int, str]:
    """The same for an object of an unknown kind, which is an entry if it has the fields of one."""
    stream, position = fields.get("stream"), fields.get("changed") or fields.get("seq")
    if isinstance(stream, str) and isinstance(position, int):
        return stream, position, str(fields.get("id"))
    return "", 0, ""
