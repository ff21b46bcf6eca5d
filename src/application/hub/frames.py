"""Frames: what lies between two positions of a stream, ready to send, made once for all sessions that stand at the
same place."""

from collections.abc import Sequence
from typing import Final

from domain.protocol.herald_v1 import View, sse_block
from domain.streams import Entry

# How much one step of a session takes: enough to make bursts cheap, little enough that no step holds up the loop or a
# client's parser.
MOST_ENTRIES: Final = 64
MOST_BYTES: Final = 64 * 1024


class Frames:
    """What a view shows of the entries up to position `upto`.

    `texts` are frames to send one by one; with SSE, blocks of `data:` lines, each still without its `id:`, whose
    positions are `marks`. `objects` counts the entries shown. `stored_at` is the newest one's, in seconds since 1970,
    None where nothing is shown. `complete` is False for a part of what the store had, behind which it has to be asked
    again. `shared` is room for the finished text, where the sessions that follow this stream alone have the same
    cursor.
    """

    __slots__ = ("complete", "marks", "objects", "shared", "stored_at", "texts", "upto")

    def __init__(
        self, texts: tuple[str, ...], marks: tuple[int, ...], upto: int, objects: int, stored_at: float | None
    ):
        self.texts = texts
        self.marks = marks
        self.upto = upto
        self.objects = objects
        self.stored_at = stored_at
        self.complete = True
        self.shared: str | None = None


def render(view: View, entries: Sequence[Entry], upto: int) -> Frames:
    shown = [entry for entry in entries if view.shows(entry)]
    if not shown:
        return Frames((), (), upto, 0, None)
    texts = tuple(view.text(entry) for entry in shown)
    marks: tuple[int, ...] = ()
    if view.transport == "sse":
        texts = tuple(sse_block(text) for text in texts)
        marks = tuple(_mark(view, shown, index) for index in range(len(shown)))
    elif view.protocol:
        texts = ("\n".join(texts),)
    return Frames(texts, marks, upto, len(shown), shown[-1].stored_at.timestamp())


def take_chunk(entries: Sequence[Entry], first: int) -> Sequence[Entry]:
    """As many of the entries from index `first` on as one step may take; at least one, and all of the last one's
    position, since a session can't stand inside a position."""
    size = len(entries[first].content.body)
    end = first + 1
    while end < len(entries):
        entry = entries[end]
        size += len(entry.content.body)
        full = size > MOST_BYTES or end - first >= MOST_ENTRIES
        if full and entry.changed != entries[end - 1].changed:
            break
        end += 1
    return entries[first:end]


def _mark(view: View, shown: Sequence[Entry], index: int) -> int:
    """The position behind an entry: where its arrival puts a plain session, and one that sees changes too once all of
    the entry's position has been shown."""
    entry = shown[index]
    if not view.protocol:
        return entry.seq
    last = index + 1 == len(shown) or shown[index + 1].changed != entry.changed
    return entry.changed if last else entry.changed - 1
