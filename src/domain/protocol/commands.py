"""Commands: the frames that a client of `herald.v1` sends."""

from typing import Annotated

import msgspec

from domain.errors import InvalidInput
from domain.nesting_limit import too_deep
from domain.positions import Cursor, read_cursor


class Resume(msgspec.Struct, frozen=True):
    """The positions to resume from. Either `cursor`, and optionally the `positions` of entries received since; or
    `epoch` and `positions`, as received in `hello` and the entries.
    """

    cursor: str | None = None
    epoch: str | None = None
    positions: dict[str, Annotated[int, msgspec.Meta(ge=0)]] = {}

    def requested(self, tag: str) -> Cursor | None:
        """Returns the cursor to resume from; None to start from now. A cursor that can't be read counts as one of an
        unknown epoch, and so leads to a gap.

        If there is a cursor, it determines the user and the epoch. The separate positions apply only where they are
        later than those of the cursor.
        """
        if self.cursor is not None:
            cursor = read_cursor(self.cursor) or Cursor("", "", {})
            if cursor.epoch != (self.epoch or cursor.epoch):
                # The positions belong to another epoch than the cursor; applying them would skip entries.
                return cursor
            since = {name: max(position, cursor.positions.get(name, 0)) for name, position in self.positions.items()}
            return Cursor(cursor.epoch, cursor.tag, {**cursor.positions, **since})
        if self.epoch is None and not self.positions:
            return None
        return Cursor(self.epoch or "", tag, self.positions)


class Command(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A command has exactly one of these fields, or `auth` and `resume` together. `auth` is a token. `ping` is any JSON
    value; the `pong` in reply has the same value.
    """

    resume: Resume | None = None
    auth: str | msgspec.UnsetType = msgspec.UNSET
    ping: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


_decode = msgspec.json.Decoder(Command).decode


def read_command(frame: str | bytes) -> Command:
    """Reads a text frame. Raises InvalidInput for any other text and for a binary frame (bytes).

    The error's `field` is "auth" if `"auth"` occurs anywhere in the frame, JSON or not, because the client meant to
    send a token.
    """
    if isinstance(frame, bytes):
        raise InvalidInput("Commands must be text frames, not binary ones.", "auth" if b'"auth"' in frame else None)
    field = "auth" if '"auth"' in frame else None
    if too_deep(frame):
        raise InvalidInput("This is not a command: it is nested too deeply.", field)
    try:
        command = _decode(frame)
    except msgspec.DecodeError as error:
        raise InvalidInput(f"This is not a command: {error}", field) from None
    if command == Command():
        raise InvalidInput("A command needs one of resume, auth and ping.")
    return command
