"""Storage of the resume point: the cursor and the position of each stream, from which the client continues after a
reconnect or a restart."""

import os
from pathlib import Path
from typing import Protocol

import msgspec

from herald_client.positions import ResumePoint


class CursorUnreadable(Exception):
    """The stored resume point (the cursor and the positions from which a listener continues) exists but can't be read,
    for example because the file is damaged. The message contains the path of the file."""


class CursorStore(Protocol):
    """Protocol for storing the resume point of one listener (its cursor and positions): CursorFile, CursorInMemory, or
    a class that the caller writes."""

    def load(self) -> ResumePoint | None:
        """Returns the stored cursor and positions; None if none were stored yet: then the listener starts with new
        entries. Raises CursorUnreadable if they can't be read: to start with new entries then would lose the missed
        ones silently."""

    def save(self, resume_point: ResumePoint) -> None:
        """Replaces the stored cursor and positions. Returns when the new ones are stored. The listener calls this after
        each processed frame."""


class CursorInMemory:
    """Stores the cursor and positions of one listener in memory. It resumes after a reconnect; after a restart of the
    process it starts with new entries."""

    def __init__(self, resume_point: ResumePoint | None = None) -> None:
        self.resume_point = resume_point

    def load(self) -> ResumePoint | None:
        return self.resume_point

    def save(self, resume_point: ResumePoint) -> None:
        self.resume_point = resume_point


class CursorFile:
    """Stores the cursor and positions of one listener in a JSON file.

    If the process is killed while it saves, the file has either the old or the new content, never a mixture: the
    content is written to a temporary file, which then replaces the file. The file is not synced to the disk (fsync),
    because that would take some milliseconds for each frame. After a power failure it may have older positions; then
    the entries received since are received again.
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
        """Replaces the content of the file with this cursor and these positions. Raises OSError if the file can't be
        written."""
        # Write to the target of a symbolic link, so that the file does not replace the link.
        target = os.path.realpath(self.path)
        temporary = f"{target}.new"
        with open(temporary, "wb", opener=_open_private) as file:
            file.write(msgspec.json.encode(resume_point) + b"\n")
        os.replace(temporary, target)


def _open_private(path: str, flags: int) -> int:
    """Opens a new file that only its owner may read (mode 600), for use as `opener` of `open`: a cursor contains the
    names of the user's streams."""
    return os.open(path, flags, 0o600)
