"""The position of a session in each of its streams."""

from collections.abc import Iterator, Sequence
from operator import ge

from application.hub.frames import Frames
from application.hub.stream_buffer import StreamBuffer
from domain.positions import ResumePoint, cursor_text
from domain.protocol.entry_kinds import View
from domain.streams import public_name


class SessionPositions:
    """The position of a session in each of its streams, and the buffers of these streams. The session has sent
    everything up to position `values[i]` of the stream with the buffer `buffers[i]`."""

    __slots__ = ("_catching_up", "_view", "buffers", "values")

    def __init__(self, buffers: tuple[StreamBuffer, ...], view: View) -> None:
        self.buffers = buffers
        self.values = [0] * len(buffers)
        self._view = view
        self._catching_up: set[int] = set()  # indexes of streams to be read from the store: see `next_frames`

    def start_at(self, resume_point: ResumePoint) -> None:
        self.values = [resume_point.positions[buffer.name] for buffer in self.buffers]
        self._catching_up = {
            index
            for index, buffer in enumerate(self.buffers)
            if buffer.name in resume_point.behind and self._view.tells_state(buffer.name)
        }

    def pending(self) -> Iterator[int]:
        """Yields the index of each stream that has entries after the session's position."""
        for index, buffer in enumerate(self.buffers):
            if buffer.head > self.values[index]:
                yield index

    @property
    def has_pending(self) -> bool:
        return any(buffer.head > value for buffer, value in zip(self.buffers, self.values, strict=True))

    @property
    def by_name(self) -> dict[str, int]:
        """The session's position in each stream, by the stream's name for clients: `inbox`, or the name of a feed."""
        return {public_name(buffer.name): value for buffer, value in zip(self.buffers, self.values, strict=True)}

    def cursor(self, epoch: str, tag: str) -> str:
        return cursor_text(epoch, tag, self.by_name.items())

    def next_frames(self, index: int) -> Frames | None:
        """Returns the frames that follow the session's position in the stream at `index`, from the buffer of the
        stream. Returns None if the session must read them from the store: if the buffer no longer has them, or if the
        session is catching up in an inbox with `herald.v1`.

        A session that is catching up reads from the store until it has reached the head, because an entry `read` or
        `archived` in a buffer does not contain the notification, which the client may not have received yet. The store
        returns each notification as a whole.
        """
        if index in self._catching_up:
            return None
        return self.buffers[index].frames_after(self._view, self.values[index])

    def advance(self, index: int, frames: Frames) -> None:
        """Sets the session's position in the stream at `index` to the end of these frames, which have been sent."""
        self.values[index] = frames.upto
        if frames.complete:
            self._catching_up.discard(index)
        else:
            self._catching_up.add(index)

    def has_reached(self, heads: Sequence[int]) -> bool:
        return all(map(ge, self.values, heads))
