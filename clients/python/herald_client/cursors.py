"""Storage of the resume point."""

import os
from pathlib import Path
from typing import Protocol

import msgspec

from herald_client.positions import ResumePoint


class CursorUnreadable(Exception):
    """A stored cursor can't be read. The text names its file."""


class CursorStore(Protocol):
    """Stores the resume point of one listener."""

    def load(self) -> ResumePoint | None:
        """The stored resume point, or None. Raises CursorUnreadable if it can't be read: starting at the present
        instead would lose entries silently.
        """

    def save(self, resume_point: ResumePoint) -> None:
        """Replace the stored resume point; returns when that is done. Called after each frame."""


class CursorInMemory:
    """Stores the resume point in memory: it survives reconnects, but not the process."""

    def __init__(self, resume_point: ResumePoint | None = None) -> None:
        self.resume_point = resume_point

    def load(self) -> ResumePoint | None:
        return self.resume_point

    def save(self, resume_point: ResumePoint) -> None:
        self.resume_point = resume_point


class CursorFile:
    """A file for one listener. It always contains one complete resume point, even if the process is killed: a new file
    is written and then replaces the old one.

    It is not synced to the disk, which would cost some milliseconds per frame. After a power failure it may contain an
    earlier resume point, and the entries since then are received again.
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
        """Replace the file. Raises OSError."""
        # Write to the target of a symbolic link, so that the file does not replace the link.
        target = os.path.realpath(self.path)
        temporary = f"{target}.new"
        with open(temporary, "wb", opener=_private) as file:
            file.write(msgspec.json.encode(resume_point) + b"\n")
        os.replace(temporary, target)


def _private(path: str, flags: int) -> int:
    """Create a file that only its owner may read, because a cursor identifies streams and their user."""
    return os.open(path, flags, 0o600)
