"""The code of version 0.4.0 that reads what this version sends: messages between nodes, and `herald.v1` objects in its
Python client. Kept unchanged; delete it when no test needs nodes or clients of that version."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import msgspec

# --- adapters/redis/wire.py and domain/streams.py ----------------------------------------------------------------


class Content(msgspec.Struct, frozen=True, gc=False):
    origin: str
    event_id: str
    source: str
    type: str
    profile: str
    envelope: Literal["raw", "typed", "event", "flat"]
    body: str
    time: datetime
    event_type: str | None = None
    title: str | None = None
    message: str | None = None
    url: str | None = None


class Entry(msgspec.Struct, frozen=True, gc=False):
    stream: str
    seq: int
    changed: int
    id: UUID
    content: Content
    stored_at: datetime
    kind: Literal["arrival", "read", "unread", "archived"] = "arrival"
    read: bool = False
    muted: bool = False
    unread: int = 0


class SignOut(msgspec.Struct, frozen=True):
    user: str
    not_before: datetime


encode = msgspec.msgpack.Encoder().encode
read_sign_outs = msgspec.msgpack.Decoder(tuple[SignOut, ...]).decode


class _Kind(msgspec.Struct):
    kind: str = "arrival"


_decode_notifications = msgspec.msgpack.Decoder(tuple[Entry, ...]).decode
_decode_items = msgspec.msgpack.Decoder(tuple[msgspec.Raw, ...]).decode
_decode_kind = msgspec.msgpack.Decoder(_Kind).decode


def read_entries(message: bytes) -> tuple[Entry, ...]:
    """Read a message. Entries of unknown kinds are omitted."""
    try:
        return _decode_notifications(message)
    except msgspec.ValidationError:
        known = ("arrival", "read", "unread", "archived")
        items = (item for item in _decode_items(message) if _decode_kind(item).kind in known)
        return tuple(msgspec.msgpack.decode(item, type=Entry) for item in items)


# --- herald_client/objects.py ------------------------------------------------------------------------------------


class NotUnderstood(Exception):
    pass


class _Object(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind"):
    pass


class _Entry(_Object, frozen=True, kw_only=True):
    stream: str
    seq: int
    id: str
    changed: int | None = None


class _Event(_Entry, frozen=True, kw_only=True):
    event_id: str
    type: str
    time: datetime
    json: msgspec.Raw = msgspec.field(name="data", default=msgspec.Raw(b"null"))


class Notification(_Event, frozen=True, kw_only=True, tag="notification"):
    title: str = ""
    message: str = ""
    read: bool = False
    unread: int | None = None
    url: str | None = None


class Broadcast(_Event, frozen=True, kw_only=True, tag="broadcast"):
    pass


class _Change(_Entry, frozen=True, kw_only=True):
    unread: int | None = None


class Read(_Change, frozen=True, kw_only=True, tag="read"):
    pass


class Unread(_Change, frozen=True, kw_only=True, tag="unread"):
    pass


class Archived(_Change, frozen=True, kw_only=True, tag="archived"):
    pass


class Unknown(msgspec.Struct, frozen=True):
    kind: str
    fields: dict[str, Any]


_KINDS = frozenset({"notification", "broadcast", "read", "unread", "archived"})
_sent = msgspec.json.Decoder(Notification | Broadcast | Read | Unread | Archived).decode
_any = msgspec.json.Decoder(dict[str, Any]).decode


def read_object(line: str) -> Any:
    try:
        return _sent(line)
    except msgspec.ValidationError as error:
        return _unknown(line, error)
    except (msgspec.DecodeError, RecursionError) as error:
        raise NotUnderstood(str(error)) from None


def _unknown(line: str, fault: Exception) -> Unknown:
    try:
        fields = _any(line)
    except (msgspec.DecodeError, RecursionError):
        raise NotUnderstood(str(fault)) from None
    kind = fields.get("kind")
    if not isinstance(kind, str) or kind in _KINDS:
        raise NotUnderstood(str(fault))
    return Unknown(kind, fields)
