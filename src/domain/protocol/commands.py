"""Commands: the frames that a client of `herald.v1` sends to the server."""

from typing import Annotated

import msgspec

from domain.caller_errors import InvalidInput
from domain.nesting_limit import too_deep
from domain.positions import Cursor, read_cursor


class Resume(msgspec.Struct, frozen=True):
    """The command `resume`: the positions after which a client wants to continue. It contains either a `cursor`,
    optionally with the `positions` of entries that the client has received since it got that cursor; or `positions` and
    their `epoch`, which the client got in `hello`. `positions` are by public name of the stream.
    """

    cursor: str | None = None
    epoch: str | None = None
    positions: dict[str, Annotated[int, msgspec.Meta(ge=0)]] = {}

    def requested(self, tag: str) -> Cursor | None:
        """Returns the cursor to resume from, for a session of the user with this tag. Returns None if the command
        contains neither a cursor nor positions: the session then starts with new entries only.

        `positions` can move the positions of `cursor` forward, but not back. They are ignored if `epoch` is not that of
        the cursor. For a text that is not a cursor, the result is a cursor of an unknown epoch, so that the session
        starts with a gap.
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
    """A frame from a client of `herald.v1`, with at least one of these commands. `resume` has the positions to continue
    after; `auth` is a token; `ping` is any JSON value, which the server sends back in a `pong`.
    """

    resume: Resume | None = None
    auth: str | msgspec.UnsetType = msgspec.UNSET
    ping: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


_decode = msgspec.json.Decoder(Command).decode


def read_command(frame: str | bytes) -> Command:
    """Parses a frame from a client. Raises InvalidInput for a binary frame (bytes), and for text that is not a command.

    If the frame contains `"auth"` anywhere, the error has the `field` "auth": the client meant to send a token, so the
    caller can treat the frame as an invalid token.
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
