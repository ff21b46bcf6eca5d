"""Storage of the resume point."""

import os
from pathlib import Path
from typing import Protocol

import msgspec

from herald_client.positions import ResumePoint


class CursorUnreadable(Exception):
    """The stored resume point can't be read. The text names the file."""


class CursorStore(Protocol):
    """Stores the resume point of one listener."""

    def load(self) -> ResumePoint | None:
        """Returns the stored resume point; None if none was stored yet. Raises CursorUnreadable if it can't be read:
        starting with new entries instead would lose the missed ones silently.
        """

    def save(self, resume_point: ResumePoint) -> None:
        """Replaces the stored resume point, and returns when it is stored. Called after each frame."""


class CursorInMemory:
    """Stores the resume point in memory: it is available after a reconnect, but not after a restart of the process."""

    def __init__(self, resume_point: ResumePoint | None = None) -> None:
        self.resume_point = resume_point

    def load(self) -> ResumePoint | None:
        return self.resume_point

    def save(self, resume_point: ResumePoint) -> None:
        self.resume_point = resume_point


class CursorFile:
    """Stores the resume point of one listener in a file. The file always contains a complete resume point, even if the
    process is killed: each resume point is written to a new file, which then replaces the old one.

    The file is not synced to the disk, because that would take some milliseconds per frame. After a power failure it
    may contain an earlier resume point; the entries since then are received again.
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
        """Replaces the file. Raises OSError."""
        # Write to the target of a symbolic link, so that the file does not replace the link.
        target = os.path.realpath(self.path)
        temporary = f"{target}.new"
        with open(temporary, "wb", opener=_private) as file:
            file.write(msgspec.json.encode(resume_point) + b"\n")
        os.replace(temporary, target)


def _private(path: str, flags: int) -> int:
    """Creates a file that only its owner may read, because a cursor contains the names of streams and a tag of the
    user."""
    return os.open(path, flags, 0o600)
