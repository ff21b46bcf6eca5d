"""The kinds of entries: how each is sent between nodes, which clients receive it, and in which form.

ENTRY_KINDS is the registry. The backplane, the stream buffers and `herald.v1` support every kind in it without a
further change. Nodes and clients of an earlier version ignore entries of kinds that they do not support.
"""

from collections.abc import Callable
from typing import Any, Final, Literal

import msgspec

from domain.notification_state import TRANSITIONS
from domain.protocol.plain_envelopes import data_text, plain_text, quoted, to_rfc3339
from domain.streams import Entry, StreamEntry, StreamName, is_inbox, public_name


class View(msgspec.Struct, frozen=True):
    """Which entries a session receives of its streams, and in which form. Sessions with equal views at one position
    share one frame.

    A plain view shows arrivals only: in feeds those of `profile` (None: of any), in an inbox those of `inbox_profile`.
    `types`, if set, are the only types shown.
    """

    transport: Literal["ws", "sse"]
    protocol: bool = False
    profile: str | None = None
    inbox_profile: str | None = None
    types: frozenset[str] | None = None

    def shows(self, entry: StreamEntry) -> bool:
        return ENTRY_KINDS[entry.kind].is_shown(self, entry)

    def tells_state(self, stream: StreamName) -> bool:
        """Returns whether a session that has missed entries of this stream is sent the current state of each
        notification instead of each change.
        """
        return self.protocol and is_inbox(stream)

    def text(self, entry: Any) -> str:
        """Returns the text of an entry for a client with this view. Plain views show only arrivals."""
        return protocol_text(entry) if self.protocol else plain_text(entry)


class EntryKind(msgspec.Struct, frozen=True):
    """One kind of entry. `struct` is the form sent between nodes: MessagePack with field names. `text` produces the
    `herald.v1` object, on one line. `is_shown` decides whether a view shows an entry.
    """

    name: str
    struct: type[Any]
    text: Callable[[Any], str]
    is_shown: Callable[[View, Any], bool]


def protocol_text(entry: StreamEntry) -> str:
    """Returns the `herald.v1` object of an entry, on one line."""
    return ENTRY_KINDS[entry.kind].text(entry)


def position_fields(entry: StreamEntry) -> str:
    """Returns the fields that objects of all streams have. `changed` is the position to resume after; it is omitted if
    it is equal to `seq`.
    """
    changed = "" if entry.changed == entry.seq else f',"changed":{entry.changed}'
    return f'"stream":{quoted(public_name(entry.stream))},"seq":{entry.seq}{changed}'


def _arrival_text(entry: Entry) -> str:
    content = entry.content
    about = (
        f'{position_fields(entry)},"id":"{entry.id}","event_id":{quoted(content.event_id)},'
        f'"type":{quoted(content.type)},"time":"{to_rfc3339(content.time)}"'
    )
    if not is_inbox(entry.stream):
        return f'{{"kind":"broadcast",{about},"data":{data_text(content)}}}'
    words = f'"title":{quoted(content.title or "")},"message":{quoted(content.message or "")}'
    state = f'"read":{"true" if entry.read else "false"},"unread":{entry.unread}'
    return f'{{"kind":"notification",{about},{words},{state},"data":{data_text(content)}}}'


def _change_text(entry: Entry) -> str:
    return f'{{"kind":"{entry.kind}",{position_fields(entry)},"id":"{entry.id}","unread":{entry.unread}}}'


def _is_arrival_shown(view: View, entry: Entry) -> bool:
    # A muted arrival is not shown, but its later changes are: a client may have it in a list.
    is_new = entry.changed == entry.seq
    if not _is_type_shown(view, entry) or (entry.muted and (is_new or not view.protocol)):
        return False
    profile = view.inbox_profile if is_inbox(entry.stream) else view.profile
    return view.protocol or profile is None or profile == entry.content.profile


def _is_change_shown(view: View, entry: Entry) -> bool:
    return view.protocol and _is_type_shown(view, entry)


def _is_type_shown(view: View, entry: Entry) -> bool:
    return view.types is None or entry.content.type in view.types


_KINDS: Final = (
    EntryKind("arrival", Entry, _arrival_text, _is_arrival_shown),
    *(EntryKind(change, Entry, _change_text, _is_change_shown) for change in TRANSITIONS),
)

ENTRY_KINDS: Final[dict[str, EntryKind]] = {kind.name: kind for kind in _KINDS}
