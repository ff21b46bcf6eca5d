"""The positions of a session in its streams."""

from collections.abc import Iterator, Sequence
from operator import ge

from application.hub.frames import Frames
from application.hub.stream_buffer import StreamBuffer
from domain.positions import ResumePoint, cursor_text
from domain.protocol.entry_kinds import View
from domain.streams import public_name


class SessionPositions:
    """The buffers of a session's streams. `values` has the position in each stream up to which the session has sent
    everything."""

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
        """Yields the indexes of the streams with entries that were not sent yet."""
        for index, buffer in enumerate(self.buffers):
            if buffer.head > self.values[index]:
                yield index

    @property
    def has_pending(self) -> bool:
        return any(buffer.head > value for buffer, value in zip(self.buffers, self.values, strict=True))

    @property
    def by_name(self) -> dict[str, int]:
        """The positions by public name of the stream."""
        return {public_name(buffer.name): value for buffer, value in zip(self.buffers, self.values, strict=True)}

    def cursor(self, epoch: str, tag: str) -> str:
        return cursor_text(epoch, tag, self.by_name.items())

    def next_frames(self, index: int) -> Frames | None:
        """Returns the next frames from the buffer of a stream; None if they must be read from the store.

        A change in a buffer does not contain the whole notification, so it may be sent only to clients that have the
        notification. The client of a session that is catching up may not have it, since a change moves a notification
        to a later position. So the session reads from the store, which returns whole notifications, until it has
        reached the head. This applies after a resume too, because the previous session may have been interrupted while
        it was catching up.
        """
        if index in self._catching_up:
            return None
        return self.buffers[index].frames_after(self._view, self.values[index])

    def advance(self, index: int, frames: Frames) -> None:
        """Records that these frames were sent."""
        self.values[index] = frames.upto
        if frames.complete:
            self._catching_up.discard(index)
        else:
            self._catching_up.add(index)

    def has_reached(self, heads: Sequence[int]) -> bool:
        return all(map(ge, self.values, heads))
