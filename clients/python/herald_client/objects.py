"""The JSON objects of the protocol `herald.v1`, one struct for each value of their field `kind`.

Unknown fields are ignored, and an object of an unknown kind becomes an `Unknown`: a later version of Herald may send
both.
"""

from datetime import datetime
from typing import Any, Final, TypeAlias

import msgspec


class ProtocolError(Exception):
    """A received frame is not valid `herald.v1`."""


class _Object(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind"):
    @property
    def kind(self) -> str:
        return str(self.__struct_config__.tag)


class Hello(_Object, frozen=True, kw_only=True, tag="hello"):
    """The first object of a session: the client is connected.

    `gap` names the streams in which entries may be missing, because they were deleted or the epoch has changed: fetch
    the current state of these streams over HTTP. `resumed` is True if the session continues from the cursor that the
    client sent. `heartbeat` is the interval of heartbeats, in seconds. `unread` is the number of unread notifications
    in the inbox, and `unseen` the number of those that arrived after the watermark (see Seen); None if the session does
    not include the inbox. Herald 0.4 does not send `unseen`.
    """

    session: str
    epoch: str
    positions: dict[str, int]
    cursor: str
    heartbeat: float
    resumed: bool
    gap: tuple[str, ...] = ()
    unread: int | None = None
    unseen: int | None = None


class Entry(_Object, frozen=True, kw_only=True):
    """Base class of the objects about a notification or broadcast: its arrival, and its state changes. `seq` is the
    position of its latest arrival: it may grow, so identify a notification by `id` and sort by `seq`. `changed` is the
    position of the last change, None if there was none. `position` is `changed` or else `seq`."""

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
        """The event's payload as Python objects, decoded from `json` at each access. A large number may lose digits
        here; `json` has the original text. Raises msgspec.DecodeError for a number that a float can't represent, such
        as 1e999."""
        return msgspec.json.decode(self.json)


class Notification(_Event, frozen=True, kw_only=True, tag="notification"):
    """A notification: one event addressed to this user.

    It is received again, with the same `id`, if its state has changed while the client was disconnected: so replace a
    stored notification with the same `id`. `unread` and `unseen` are the numbers of unread and of unseen notifications
    in the inbox, right after this one arrived; None if Herald does not send them. `url` is the address that the
    notification links to: an http or https URL, or a path such as `/tickets/7`, of the site that shows the
    notification; None if it links to nothing.
    """

    title: str = ""
    message: str = ""
    read: bool = False
    unread: int | None = None
    unseen: int | None = None
    url: str | None = None


class Broadcast(_Event, frozen=True, kw_only=True, tag="broadcast"):
    """A broadcast: one event of a feed."""


class _Change(Entry, frozen=True, kw_only=True):
    unread: int | None = None
    unseen: int | None = None


class Read(_Change, frozen=True, kw_only=True, tag="read"):
    """The notification `id` was marked as read, by this client or another client of the same user."""


class Unread(_Change, frozen=True, kw_only=True, tag="unread"):
    """The notification `id` was marked as unread, by this client or another client of the same user."""


class Archived(_Change, frozen=True, kw_only=True, tag="archived"):
    """The notification `id` was archived, which removes it from the inbox, by this client or another client of the same
    user."""


class Seen(_Object, frozen=True, kw_only=True, tag="seen"):
    """The user has seen all notifications up to position `seq`, the watermark, on this client or another client of the
    same user. `unseen` is the number of unread notifications that arrived later. The object is an entry of the inbox,
    with the position `changed`, but not about one notification: it has no `id`."""

    stream: str
    seq: int
    changed: int
    unseen: int

    @property
    def position(self) -> int:
        return self.changed


class Gap(_Object, frozen=True, kw_only=True, tag="gap"):
    """Entries of a stream that the client has missed were deleted, so Herald can't send them: those with a position
    greater than `after` and at most `upto`."""

    stream: str
    after: int
    upto: int


class Unknown(msgspec.Struct, frozen=True):
    """An object whose `kind` this version of the client does not support. `fields` has all its fields, including
    `kind`."""

    kind: str
    fields: dict[str, Any]


class Away(msgspec.Struct, frozen=True):
    """The connection to `url` has ended, or could not be opened. The client creates this item itself; Herald does not
    send it.

    The client connects to `next_url` in `retry_in` seconds. `code` is the WebSocket close code, or the HTTP status of a
    refused handshake; None if Herald sent neither.
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
Item: TypeAlias = Hello | Notification | Broadcast | Read | Unread | Archived | Seen | Gap | Unknown | Away

Message: TypeAlias = (
    Hello
    | Notification
    | Broadcast
    | Read
    | Unread
    | Archived
    | Seen
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
        Seen,
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
    """Decodes one JSON object: one line of a frame. Raises ProtocolError if the line is not a valid object of
    `herald.v1`."""
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
