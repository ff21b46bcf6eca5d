"""Frames: the entries between two positions of a stream, ready to send, rendered once for all sessions at the first
position."""

from collections.abc import Sequence

from application.hub.policy import BufferPolicy
from domain.protocol.entry_kinds import View
from domain.protocol.herald_v1 import sse_block
from domain.streams import StreamEntry


class Frames:
    """What a view shows of the entries after a position, up to position `upto`.

    `texts` are sent one by one. With SSE they are blocks of `data:` lines without the `id:` line, and `marks` has the
    position for the cursor of each. `objects` is the number of entries shown. `stored_at` is the time of the newest of
    them in seconds since 1970, None if none is shown. `complete` is False if the session must read its next frames from
    the store, not from the buffer. `shared` is the finished text for sessions without a user that follow only this
    stream, and so have the same cursor.
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


def render(view: View, entries: Sequence[StreamEntry], upto: int) -> Frames:
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


def take_chunk(entries: Sequence[StreamEntry], first: int, policy: BufferPolicy) -> Sequence[StreamEntry]:
    """Returns the entries from index `first` on that are sent together: at least one, and always all entries of the
    last position, because a session can't stop inside a position."""
    size = entries[first].text_size
    end = first + 1
    while end < len(entries):
        entry = entries[end]
        size += entry.text_size
        full = size > policy.max_chunk_bytes or end - first >= policy.max_chunk_entries
        if full and entry.changed != entries[end - 1].changed:
            break
        end += 1
    return entries[first:end]


def _mark(view: View, shown: Sequence[StreamEntry], index: int) -> int:
    """Returns the position in the cursor that is sent with an entry. For plain sessions it is the position of the
    arrival. For sessions that see changes it is the entry's position, once all entries of that position have been sent,
    and the position before it until then."""
    entry = shown[index]
    if not view.protocol:
        return entry.seq
    last = index + 1 == len(shown) or shown[index + 1].changed != entry.changed
    return entry.changed if last else entry.changed - 1
