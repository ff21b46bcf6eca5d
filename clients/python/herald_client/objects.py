"""What comes: the objects of herald.v1, one struct for each kind.

Fields that are not known are passed over, and an object of a kind that is not known becomes `Unknown`: a newer service
breaks no client.
"""

from datetime import datetime
from typing import Any, Final, TypeAlias

import msgspec


class NotUnderstood(Exception):
    """What came is not herald.v1."""


class _Object(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind"):
    @property
    def kind(self) -> str:
        return str(self.__struct_config__.tag)


class Hello(_Object, frozen=True, kw_only=True, tag="hello"):
    """A connection is there. `gap` names the streams in which something may be missing that can't be had any more:
    fetch the present state, if that matters. `heartbeat` is in seconds."""

    session: str
    epoch: str
    positions: dict[str, int]
    cursor: str
    heartbeat: float
    resumed: bool
    gap: tuple[str, ...] = ()
    unread: int | None = None


class Entry(_Object, frozen=True, kw_only=True):
    """What belongs to a stream. `position` is the one to remember."""

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
        """The payload, decoded when it is asked for: `json` has it with every digit. Raises msgspec.DecodeError for
        what Python can't hold, such as 1e999."""
        return msgspec.json.decode(self.json)


class Notification(_Event, frozen=True, kw_only=True, tag="notification"):
    """One event, addressed to the user. Upsert by `id`: one that was changed comes again. `unread` is the inbox's total
    after it."""

    title: str = ""
    message: str = ""
    read: bool = False
    unread: int | None = None


class Broadcast(_Event, frozen=True, kw_only=True, tag="broadcast"):
    """One event of a feed."""


class _Change(Entry, frozen=True, kw_only=True):
    unread: int | None = None


class Read(_Change, frozen=True, kw_only=True, tag="read"):
    """A notification was read, here or elsewhere."""


class Unread(_Change, frozen=True, kw_only=True, tag="unread"):
    """A notification was marked as unread."""


class Archived(_Change, frozen=True, kw_only=True, tag="archived"):
    """A notification is in the inbox no more."""


class Gap(_Object, frozen=True, kw_only=True, tag="gap"):
    """What lay between these positions is kept no more."""

    stream: str
    after: int
    upto: int


class Unknown(msgspec.Struct, frozen=True):
    """An object of a kind that this client does not know."""

    kind: str
    fields: dict[str, Any]


class Away(msgspec.Struct, frozen=True):
    """There is no connection now; the next attempt is in `retry_in` seconds, at `next_url`. `code` is a close code, or
    the HTTP status of a refused handshake; None where there was not even that."""

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


class Fault(_Object, frozen=True, kw_only=True, tag="error"):
    code: str
    detail: str = ""


class Bye(_Object, frozen=True, kw_only=True, tag="bye"):
    code: int
    reason: str = ""
    reconnect_in: float | None = None


# What callers are handed.
Item: TypeAlias = Hello | Notification | Broadcast | Read | Unread | Archived | Gap | Unknown | Away

Sent: TypeAlias = (
    Hello | Notification | Broadcast | Read | Unread | Archived | Gap | Heartbeat | Pong | Authenticated | Fault | Bye
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
        Fault,
        Bye,
    )
)

_sent: Final = msgspec.json.Decoder(Sent).decode
_any: Final = msgspec.json.Decoder(dict[str, Any]).decode


def read_object(line: str) -> "Sent | Unknown":
    """The object on a line. Raises NotUnderstood."""
    try:
        sent: Sent = _sent(line)
    except msgspec.ValidationError as fault:
        # Only where the usual way has failed, which costs the others nothing.
        return _unknown(line, fault)
    except (msgspec.DecodeError, RecursionError) as fault:
        raise NotUnderstood(str(fault)) from None
    return sent


def _unknown(line: str, fault: Exception) -> Unknown:
    try:
        fields = _any(line)
    except (msgspec.DecodeError, RecursionError):
        raise NotUnderstood(str(fault)) from None
    kind = fields.get("kind")
    if not isinstance(kind, str) or kind in _KINDS:
        raise NotUnderstood(str(fault))
    return Unknown(kind, fields)
