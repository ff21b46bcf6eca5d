"""The kinds of entries: how an entry of each kind is encoded for other nodes and for clients, and which sessions
receive it.

ENTRY_KINDS is the registry. The backplane, the stream buffers and `herald.v1` support every kind in it, so a new kind
is added only there. Nodes and clients of earlier versions ignore entries of kinds that are new to them.
"""

from collections.abc import Callable
from typing import Any, Final, Literal

import msgspec

from domain.notification_state import TRANSITIONS
from domain.protocol.plain_envelopes import data_text, plain_text, quoted, to_rfc3339
from domain.streams import Entry, Seen, StreamEntry, StreamName, is_inbox, public_name


class View(msgspec.Struct, frozen=True):
    """Which entries of its streams a session shows to its client, and in which form. An entry is encoded once for all
    sessions that have the same view.

    If `protocol` is true, the client uses `herald.v1`, and entries of all kinds are shown. Otherwise it is a plain
    client, and only arrivals are shown: in feeds those made by routes of `profile`, in an inbox those made by routes of
    `inbox_profile` (None means any profile). If `types` is set, only entries about events of these types are shown. A
    muted notification is not shown when it arrives; in `herald.v1`, its later changes are.
    """

    transport: Literal["ws", "sse"]
    protocol: bool = False
    profile: str | None = None
    inbox_profile: str | None = None
    types: frozenset[str] | None = None

    def shows(self, entry: StreamEntry) -> bool:
        return ENTRY_KINDS[entry.kind].is_shown(self, entry)

    def tells_state(self, stream: StreamName) -> bool:
        """Returns whether a session that has missed entries of this stream receives each notification once, in its
        current state, instead of every entry that it missed. This is so for inboxes in `herald.v1`.
        """
        return self.protocol and is_inbox(stream)

    def text(self, entry: Any) -> str:
        """Returns the text of an entry for clients with this view: a `herald.v1` object, or an arrival in its
        envelope.
        """
        return protocol_text(entry) if self.protocol else plain_text(entry)


class EntryKind(msgspec.Struct, frozen=True):
    """The definition of one kind of entry. `struct` is the type that is sent between nodes, in MessagePack with field
    names. `text` makes the `herald.v1` object of an entry: JSON on one line. `is_shown` decides whether a view shows an
    entry.
    """

    name: str
    struct: type[Any]
    text: Callable[[Any], str]
    is_shown: Callable[[View, Any], bool]


def protocol_text(entry: StreamEntry) -> str:
    """Returns an entry as a `herald.v1` object: JSON on one line."""
    return ENTRY_KINDS[entry.kind].text(entry)


def position_fields(entry: StreamEntry) -> str:
    """Returns the JSON fields `stream`, `seq` and `changed`, which the `herald.v1` objects of all entries have.
    `changed` is the position after which a client resumes; it is left out if it is equal to `seq`.
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
    if content.url is not None:
        words += f',"url":{quoted(content.url)}'
    state = f'"read":{"true" if entry.read else "false"},{_totals(entry)}'
    return f'{{"kind":"notification",{about},{words},{state},"data":{data_text(content)}}}'


def _change_text(entry: Entry) -> str:
    return f'{{"kind":"{entry.kind}",{position_fields(entry)},"id":"{entry.id}",{_totals(entry)}}}'


def _totals(entry: Entry) -> str:
    unseen = "" if entry.unseen is None else f',"unseen":{entry.unseen}'
    return f'"unread":{entry.unread}{unseen}'


def _seen_text(entry: Seen) -> str:
    return f'{{"kind":"seen",{position_fields(entry)},"unseen":{entry.unseen}}}'


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
    EntryKind("seen", Seen, _seen_text, lambda view, _: view.protocol),
)

ENTRY_KINDS: Final[dict[str, EntryKind]] = {kind.name: kind for kind in _KINDS}
