"""Where a session stands in each of its streams."""

from collections.abc import Sequence
from operator import ge

from application.hub.frames import Frames
from application.hub.stream_buffer import StreamBuffer
from domain.positions import ResumePoint
from domain.protocol.herald_v1 import View
from domain.streams import public_name


class SessionPositions:
    """The buffers of a session's streams, and its position in each: all up to there was handed to its client."""

    __slots__ = ("_behind", "_view", "buffers", "values")

    def __init__(self, buffers: tuple[StreamBuffer, ...], view: View) -> None:
        self.buffers = buffers
        self.values = [0] * len(buffers)
        self._view = view
        self._behind: set[int] = set()  # the buffers that can't serve it yet: see `ready`

    def start_at(self, resume_point: ResumePoint) -> None:
        self.values = [resume_point.positions[buffer.name] for buffer in self.buffers]
        self._behind = {
            index
            for index, buffer in enumerate(self.buffers)
            if buffer.name in resume_point.behind and self._view.tells_state(buffer.name)
        }

    @property
    def has_more(self) -> bool:
        """Whether there is something that its client was not handed yet."""
        return any(buffer.head > position for buffer, position in zip(self.buffers, self.values, strict=True))

    @property
    def by_name(self) -> dict[str, int]:
        """By public name."""
        return {public_name(buffer.name): position for buffer, position in zip(self.buffers, self.values, strict=True)}

    def ready(self, index: int) -> Frames | None:
        """What a buffer has next; None if the store has to be asked.

        A buffer tells what became of a notification, to those who know it. Who is catching up may not know it yet: it
        arrived before the position to which that change has moved it. So the store is asked until it had no more, even
        where a client resumes that may have left in the midst of this.
        """
        return None if index in self._behind else self.buffers[index].ready(self._view, self.values[index])

    def advance(self, index: int, frames: Frames) -> None:
        """These were handed over."""
        self.values[index] = frames.upto
        if frames.complete:
            self._behind.discard(index)
        else:
            self._behind.add(index)

    def has_reached(self, heads: Sequence[int]) -> bool:
        return all(map(ge, self.values, heads))
