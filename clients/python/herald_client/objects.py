"""The objects of herald.v1, one struct for each kind.

Unknown fields are ignored, and an object of an unknown kind becomes `Unknown`, so that newer services do not break the
client.
"""

from datetime import datetime
from typing import Any, Final, TypeAlias

import msgspec


class ProtocolError(Exception):
    """A frame is not valid herald.v1."""


class _Object(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind"):
    @property
    def kind(self) -> str:
        return str(self.__struct_config__.tag)


class Hello(_Object, frozen=True, kw_only=True, tag="hello"):
    """A session has started. `gap` names the streams in which entries may be missing: fetch their current state over
    HTTP if you need it. `heartbeat` is the interval of heartbeats, in seconds. `unread` is the number of unread
    notifications in the inbox; None if the session does not include the inbox.
    """

    session: str
    epoch: str
    positions: dict[str, int]
    cursor: str
    heartbeat: float
    resumed: bool
    gap: tuple[str, ...] = ()
    unread: int | None = None


class Entry(_Object, frozen=True, kw_only=True):
    """An object that belongs to a stream. `position` is its position in the stream."""

    stream: str
    seq: int
    id: str
    changed: int | None = None

    @property
    def position(self) -> int:
        return self.changed or self.seq


class _Event(Entry, frozen=True, kw_only=True):
    event_id: str
    type: str
    time: datetime
    json: msgspec.Raw = msgspec.field(name="data", default=msgspec.Raw(b"null"))

    @property
    def data(self) -> Any:
        """The payload, decoded at each access. `json` is its text, with all digits of numbers. Raises
        msgspec.DecodeError for values that Python can't represent, such as 1e999.
        """
        return msgspec.json.decode(self.json)


class Notification(_Event, frozen=True, kw_only=True, tag="notification"):
    """One event for this user. Insert or replace it by `id`: a notification that changed while the client was
    disconnected is received again. `unread` is the number of unread notifications in the inbox after this one arrived.
    """

    title: str = ""
    message: str = ""
    read: bool = False
    unread: int | None = None


class Broadcast(_Event, frozen=True, kw_only=True, tag="broadcast"):
    """One event of a feed."""


class _Change(Entry, frozen=True, kw_only=True):
    unread: int | None = None


class Read(_Change, frozen=True, kw_only=True, tag="read"):
    """A notification was marked as read, by this client or another."""


class Unread(_Change, frozen=True, kw_only=True, tag="unread"):
    """A notification was marked as unread, by this client or another."""


class Archived(_Change, frozen=True, kw_only=True, tag="archived"):
    """A notification was archived: it is no longer in the inbox."""


class Gap(_Object, frozen=True, kw_only=True, tag="gap"):
    """The entries with positions after `after`, up to and including `upto`, have been deleted and cannot be sent."""

    stream: str
    after: int
    upto: int


class Unknown(msgspec.Struct, frozen=True):
    """An object of a kind that this client does not know."""

    kind: str
    fields: dict[str, Any]


class Away(msgspec.Struct, frozen=True):
    """The connection to `url` has ended, or could not be opened. The next attempt starts in `retry_in` seconds, at
    `next_url`. `code` is the close code, or the HTTP status of a refused handshake; None if there was neither.
    """

    url: str
    reason: str
    code: int | None
    retry_in: float
    next_url: str


class Heartbeat(_Object, frozen=True, kw_only=True, tag="heartbeat"):
    cursor: str


class Pong(_Object, frozen=True, kw_only=True, tag="pong"):
    pass


class Authenticated(_Object, frozen=True, kw_only=True, tag="auth"):
    expires_at: float | None = None


class CommandError(_Object, frozen=True, kw_only=True, tag="error"):
    code: str
    detail: str = ""


class Bye(_Object, frozen=True, kw_only=True, tag="bye"):
    code: int
    reason: str = ""
    reconnect_in: float | None = None


# The items that callers receive.
Item: TypeAlias = Hello | Notification | Broadcast | Read | Unread | Archived | Gap | Unknown | Away

Message: TypeAlias = (
    Hello
    | Notification
    | Broadcast
    | Read
    | Unread
    | Archived
    | Gap
    | Heartbeat
    | Pong
    | Authenticated
    | CommandError
    | Bye
)

_KINDS: Final = frozenset(
    str(kind.__struct_config__.tag)
    for kind in (
        Hello,
        Notification,
        Broadcast,
        Read,
        Unread,
        Archived,
        Gap,
        Heartbeat,
        Pong,
        Authenticated,
        CommandError,
        Bye,
    )
)

_decode_message: Final = msgspec.json.Decoder(Message).decode
_decode_fields: Final = msgspec.json.Decoder(dict[str, Any]).decode


def read_object(line: str) -> "Message | Unknown":
    """Decodes the object on a line of a frame. Raises ProtocolError."""
    try:
        message: Message = _decode_message(line)
    except msgspec.ValidationError as error:
        # Checked only after decoding has failed, so that objects of known kinds are decoded without extra cost.
        return _unknown(line, error)
    except (msgspec.DecodeError, RecursionError) as error:
        raise ProtocolError(str(error)) from None
    return message


def _unknown(line: str, error: Exception) -> Unknown:
    try:
        fields = _decode_fields(line)
    except (msgspec.DecodeError, RecursionError):
        raise ProtocolError(str(error)) from None
    kind = fields.get("kind")
    if not isinstance(kind, str) or kind in _KINDS:
        raise ProtocolError(str(error))
    return Unknown(kind, fields)
