"""Where a place is kept."""

import os
from pathlib import Path
from typing import Protocol

import msgspec

from herald_client.places import Place


class CursorUnreadable(Exception):
    """A cursor is there, and can't be read. The text names its file."""


class CursorStore(Protocol):
    """For keeping a place while the client is not there."""

    def load(self) -> Place | None:
        """None if nothing was kept yet. Raises CursorUnreadable: whoever began "from now on" instead would lose
        without a word what came meanwhile."""

    def save(self, place: Place) -> None:
        """Keeps this in the place of what was kept before. Returns once it is; it is called for each frame."""


class CursorInMemory:
    """For who needs no more than to survive a reconnect."""

    def __init__(self, place: Place | None = None) -> None:
        self.place = place

    def load(self) -> Place | None:
        return self.place

    def save(self, place: Place) -> None:
        self.place = place


class CursorFile:
    """A file for one listener. Whatever kills the process, it holds one whole place: a new one takes the old one's
    name only when it is written.

    It is not forced to the disk, which would cost some milliseconds a frame: after a power cut it may hold an earlier
    place, and what came since comes again.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)

    def load(self) -> Place | None:
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as fault:
            raise CursorUnreadable(f"The cursor file {self.path} can't be read: {fault.strerror}") from None
        try:
            return msgspec.json.decode(content, type=Place)
        except msgspec.DecodeError as fault:
            raise CursorUnreadable(
                f"{self.path} is no cursor file, or a damaged one ({fault}). Without it, what came meanwhile is passed"
                " over: remove it if that is meant."
            ) from None

    def save(self, place: Place) -> None:
        """Raises OSError."""
        # Not the name itself, if that is a link: it would be replaced by a file.
        target = os.path.realpath(self.path)
        fresh = f"{target}.new"
        with open(fresh, "wb", opener=_private) as file:
            file.write(msgspec.json.encode(place) + b"\n")
        os.replace(fresh, target)


def _private(path: str, flags: int) -> int:
    """Opens a file that only its owner may read, where it is created: a cursor names streams and their user."""
    return os.open(path, flags, 0o600)
