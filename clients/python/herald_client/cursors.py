"""Where the resume point is stored."""

import os
from pathlib import Path
from typing import Protocol

import msgspec

from herald_client.positions import ResumePoint


class CursorUnreadable(Exception):
    """A stored cursor cannot be read. The text names its file."""


class CursorStore(Protocol):
    """Stores the resume point of one listener."""

    def load(self) -> ResumePoint | None:
        """None if nothing is stored. Raises CursorUnreadable: a listener that started at the present instead would
        lose entries silently."""

    def save(self, resume_point: ResumePoint) -> None:
        """Replaces the stored resume point, and returns once that is done. Called after each frame."""


class CursorInMemory:
    """Survives reconnects, but not the process."""

    def __init__(self, resume_point: ResumePoint | None = None) -> None:
        self.resume_point = resume_point

    def load(self) -> ResumePoint | None:
        return self.resume_point

    def save(self, resume_point: ResumePoint) -> None:
        self.resume_point = resume_point


class CursorFile:
    """A file for one listener. It always holds one complete resume point, even if the process is killed: a new file
    replaces the old one when it is written.

    It is not synced to the disk, which would cost some milliseconds a frame. After a power failure it may hold an
    earlier resume point, and the entries since are received again.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)

    def load(self) -> ResumePoint | None:
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise CursorUnreadable(f"The cursor file {self.path} can't be read: {error.strerror}") from None
        try:
            return msgspec.json.decode(content, type=ResumePoint)
        except msgspec.DecodeError as error:
            raise CursorUnreadable(
                f"{self.path} is not a cursor file, or damaged ({error}). Remove it to start at the present: entries"
                " since it was written are then skipped."
            ) from None

    def save(self, resume_point: ResumePoint) -> None:
        """Raises OSError."""
        # The target of a symbolic link, so that the link is not replaced by a file.
        target = os.path.realpath(self.path)
        temporary = f"{target}.new"
        with open(temporary, "wb", opener=_private) as file:
            file.write(msgspec.json.encode(resume_point) + b"\n")
        os.replace(temporary, target)


def _private(path: str, flags: int) -> int:
    """Creates a file that only its owner may read: a cursor identifies streams and their user."""
    return os.open(path, flags, 0o600)
