"""Positions: what was seen of each stream, and what may be remembered of it."""

from collections.abc import Sequence
from typing import Annotated, Any

import msgspec

from herald_client.objects import Entry, Gap, Hello, Item, Unknown


class Place(msgspec.Struct, frozen=True):
    """Where to go on: the last cursor that the service gave, and the positions that were seen by stream.

    The cursor says whose place it is, and of which epoch; the positions are ahead of it by what came since.
    """

    cursor: str
    positions: dict[str, Annotated[int, msgspec.Meta(ge=0)]] = {}


class Places:
    """What was seen. It moves on with what comes, and tells what has come before."""

    def __init__(self) -> None:
        self._cursor: str | None = None
        self._positions: dict[str, int] = {}
        # What came at the newest position of a stream, since a mass act has several entries of one. Not there where
        # the position was reached by other means: all of it has been seen then.
        self._newest: dict[str, set[str]] = {}

    def begin(self, place: Place | None) -> None:
        """Takes a place that was remembered, all of which has been seen."""
        if place is not None:
            self._cursor = place.cursor
            self._positions = dict(place.positions)

    @property
    def place(self) -> Place | None:
        """None before the service has said where this begins."""
        return Place(self._cursor, dict(self._positions)) if self._cursor is not None else None

    def greet(self, hello: Hello) -> None:
        """Takes what a session begins with. In a stream with a gap that is the service's word, which may be further
        back; in the others no more than what was shown to it, or less, where only a cursor was."""
        if not hello.resumed:
            # Another epoch, perhaps: positions of streams that this session lacks may mean nothing any more.
            self._positions = {name: at for name, at in self._positions.items() if name in hello.positions}
        for name, at in hello.positions.items():
            if name in hello.gap:
                self._positions[name] = at
                self._newest.pop(name, None)
            else:
                self._move(name, at)
        self._cursor = hello.cursor

    def beat(self, cursor: str) -> None:
        """Takes the cursor of a heartbeat, which is ahead of the entries where some are not shown."""
        self._cursor = cursor

    def is_news(self, item: Item) -> bool:
        """Whether this has not come before; if so, it has now."""
        stream, position, id = _where(item)
        if isinstance(item, Gap):
            self._move(stream, position)
            return True
        if not stream:
            return True
        known = self._positions.get(stream, 0)
        if position > known:
            self._positions[stream] = position
            self._newest[stream] = {id}
            return True
        newest = self._newest.get(stream)
        if position < known or newest is None or id in newest:
            return False
        newest.add(id)
        return True

    def _move(self, stream: str, position: int) -> None:
        if position > self._positions.get(stream, -1):
            self._positions[stream] = position
            self._newest.pop(stream, None)


def advanced(place: Place, done: Sequence[Item], rest: Sequence[Item]) -> Place:
    """The place of one who has done a part of a frame: no position of which something is left counts."""
    left: dict[str, int] = {}
    for item in rest:
        stream, position, _ = _where(item)
        left[stream] = min(position, left.get(stream, position))
    positions = dict(place.positions)
    for item in done:
        stream, position, _ = _where(item)
        if stream and position < left.get(stream, position + 1):
            positions[stream] = max(position, positions.get(stream, 0))
    return Place(place.cursor, positions)


def _where(item: Item) -> tuple[str, int, str]:
    """Stream, position and id; no stream for what belongs to none."""
    if isinstance(item, Entry):
        return item.stream, item.position, item.id
    if isinstance(item, Gap):
        return item.stream, item.upto, ""
    if isinstance(item, Unknown):
        return _where_unknown(item.fields)
    return "", 0, ""


def _where_unknown(fields: dict[str, Any]) -> tuple[str, int, str]:
    """A newer kind of entry is one if it looks like one."""
    stream, position = fields.get("stream"), fields.get("changed") or fields.get("seq")
    if isinstance(stream, str) and isinstance(position, int):
        return stream, position, str(fields.get("id"))
    return "", 0, ""
