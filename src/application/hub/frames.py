"""Frames: consecutive entries of a stream, rendered as texts that are ready to send. All sessions with the same view
(protocol, transport and filters) at the same position share them."""

from collections.abc import Sequence

from application.hub.policy import BufferPolicy
from domain.protocol.entry_kinds import View
from domain.protocol.herald_v1 import sse_block
from domain.streams import StreamEntry


class Frames:
    """Consecutive entries of a stream, rendered for one view (protocol, transport and filters). All sessions with this
    view at the same position share the object.

    - `texts`: the texts to send. For a plain WebSocket: one for each entry. For a WebSocket with `herald.v1`: a single
      one, with one line for each entry. For an event stream: one for each entry, consisting of `data:` lines; the
      session adds the `id:` line with its cursor.
    - `cursor_positions`: only for an event stream: for each text, the position in this stream that the cursor in its
      `id:` line contains.
    - `upto`: the position of a session that has sent all texts.
    - `objects`: the number of entries in the texts. Entries that the view does not show are left out.
    - `stored_at`: the time at which the newest of these entries was stored, in seconds since 1970; None without
      entries, and if the time is not known.
    - `complete`: False if the session must read the entries after `upto` from the store, not from the buffer.
    - `shared`: all texts with `id:` lines, cached for the sessions that have no user and follow only this stream,
      because these have equal cursors; None until such a session needs it.
    """

    __slots__ = ("complete", "cursor_positions", "objects", "shared", "stored_at", "texts", "upto")

    def __init__(
        self,
        texts: tuple[str, ...],
        cursor_positions: tuple[int, ...],
        upto: int,
        objects: int,
        stored_at: float | None,
    ):
        self.texts = texts
        self.cursor_positions = cursor_positions
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
    cursor_positions: tuple[int, ...] = ()
    if view.transport == "sse":
        texts = tuple(sse_block(text) for text in texts)
        cursor_positions = tuple(_cursor_position(view, shown, index) for index in range(len(shown)))
    elif view.protocol:
        texts = ("\n".join(texts),)
    times = (entry.stored_at for entry in reversed(shown))
    newest = next((at.timestamp() for at in times if at is not None), None)
    return Frames(texts, cursor_positions, upto, len(shown), newest)


def take_chunk(entries: Sequence[StreamEntry], first: int, policy: BufferPolicy) -> Sequence[StreamEntry]:
    """Returns the entries, from index `first` on, that are rendered as one Frames object: at least one, up to about
    `max_chunk_entries` entries or `max_chunk_bytes`. Entries at the same position are not divided, even if a limit is
    exceeded, because a session can't resume between them."""
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


def _cursor_position(view: View, shown: Sequence[StreamEntry], index: int) -> int:
    """Returns the position in this stream that the cursor sent with the entry `shown[index]` contains. For a plain
    client this is the entry's `seq`. For a `herald.v1` client it is `changed` if the entry is the last one at its
    position. Otherwise it is `changed` - 1, so that a client which resumes from the cursor receives the whole position
    again."""
    entry = shown[index]
    if not view.protocol:
        return entry.seq
    last = index + 1 == len(shown) or shown[index + 1].changed != entry.changed
    return entry.changed if last else entry.changed - 1
