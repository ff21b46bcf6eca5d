"""What clients see: the frames of `herald.v1`, the messages of plain streams, close codes and commands.
`docs/protocol.md` is the same in words for authors of clients.

An object of `herald.v1` says what it is in `kind`. Objects that belong to a stream carry `stream` and `seq`, and
`changed` where the position to remember is a later one than the arrival's.
"""

from collections.abc import Mapping
from datetime import datetime
from enum import IntEnum
from typing import Annotated, Any, Final, Literal

import msgspec

from domain.errors import InvalidInput
from domain.nesting import too_deep
from domain.positions import Cursor, read_cursor
from domain.protocol.envelopes import data_text, plain_text, quoted, to_rfc3339
from domain.streams import Entry, StreamName, is_inbox, public_name

SUBPROTOCOL: Final = "herald.v1"


class CloseCode(IntEnum):
    """Why a socket was closed, and so what its client should do.

    Reconnect with backoff and jitter on 1001, 1006, 1011, 1012, 1013 and 4000-4499; stop on 4500-4999.
    """

    TOO_LARGE = 1009
    INTERNAL_ERROR = 1011
    RESTARTING = 1012
    TRY_LATER = 1013
    TOKEN_EXPIRED = 4401
    TOO_SLOW = 4408
    TOO_MANY_FRAMES = 4429
    FORBIDDEN = 4501
    SIGNED_OUT = 4502
    TOO_MANY_SESSIONS = 4503
    TOKEN_REFUSED = 4504
    NOT_UNDERSTOOD = 4505
    UNKNOWN_FEED = 4506


class CloseReason(msgspec.Struct, frozen=True):
    """How a session ends. `reconnect_in` is seconds, where the server has an opinion."""

    code: CloseCode
    text: str
    reconnect_in: float | None = None


class View(msgspec.Struct, frozen=True):
    """How a session sees its streams; sessions with equal views at one position share one frame.

    A plain view shows arrivals only, in feeds those of `profile` (None: of any), in an inbox those of `inbox_profile`.
    `types`, where given, are the only ones shown.
    """

    transport: Literal["ws", "sse"]
    protocol: bool = False
    profile: str | None = None
    inbox_profile: str | None = None
    types: frozenset[str] | None = None

    def shows(self, entry: Entry) -> bool:
        content = entry.content
        if self.types is not None and content.type not in self.types:
            return False
        # A muted one is told only once something was done to it: whoever has it in a list must see that.
        if entry.muted and entry.kind == "arrival" and not (self.protocol and entry.changed != entry.seq):
            return False
        if self.protocol:
            return True
        profile = self.inbox_profile if is_inbox(entry.stream) else self.profile
        return entry.kind == "arrival" and (profile is None or profile == content.profile)

    def tells_state(self, stream: StreamName) -> bool:
        """Whether a session that has missed something of this stream is told how it stands now, and not what happened
        one by one."""
        return self.protocol and is_inbox(stream)

    def text(self, entry: Entry) -> str:
        return protocol_text(entry) if self.protocol else plain_text(entry)


def protocol_text(entry: Entry) -> str:
    """The `herald.v1` object of an entry, on one line."""
    content = entry.content
    stream = public_name(entry.stream)
    changed = "" if entry.changed == entry.seq else f',"changed":{entry.changed}'
    place = f'"stream":{quoted(stream)},"seq":{entry.seq}{changed},"id":"{entry.id}"'
    if entry.kind != "arrival":
        return f'{{"kind":"{entry.kind}",{place},"unread":{entry.unread}}}'
    about = f'"event_id":{quoted(content.event_id)},"type":{quoted(content.type)},"time":"{to_rfc3339(content.time)}"'
    if not is_inbox(entry.stream):
        return f'{{"kind":"broadcast",{place},{about},"data":{data_text(content)}}}'
    words = f'"title":{quoted(content.title or "")},"message":{quoted(content.message or "")}'
    state = f'"read":{"true" if entry.read else "false"},"unread":{entry.unread}'
    return f'{{"kind":"notification",{place},{about},{words},{state},"data":{data_text(content)}}}'


def hello(
    session: str,
    epoch: str,
    positions: Mapping[str, int],
    cursor: str,
    heartbeat: float,
    resumed: bool,
    gaps: tuple[str, ...],
    unread: int | None,
) -> str:
    """Begins a session. `gap` names the streams in which something may be missing; `unread` is the
    inbox's total, None for a session without one."""
    return _json(
        kind="hello",
        session=session,
        epoch=epoch,
        positions=positions,
        cursor=cursor,
        heartbeat=heartbeat,
        resumed=resumed,
        gap=gaps,
        **_known(unread=unread),
    )


def gap(stream: str, after: int, upto: int) -> str:
    """Says in mid-session that what lay between two positions is kept no more."""
    return _json(kind="gap", stream=stream, after=after, upto=upto)


def heartbeat(now: datetime, cursor: str) -> str:
    return _json(kind="heartbeat", time=to_rfc3339(now), cursor=cursor)


def pong(ping: msgspec.Raw) -> str:
    """Answers a ping by its own JSON text, on one line."""
    echo = msgspec.json.format(bytes(ping), indent=-1)
    return _json(kind="pong") if echo in (b"null", b"true") else _json(kind="pong", ping=msgspec.Raw(echo))


def error(code: str, detail: str) -> str:
    return _json(kind="error", code=code, detail=detail)


def authenticated(expires_at: float | None) -> str:
    """Answers `auth`: the session goes on until `expires_at`, seconds since 1970."""
    return _json(kind="auth", expires_at=expires_at)


def bye(close_reason: CloseReason) -> str:
    return _json(
        kind="bye",
        code=int(close_reason.code),
        reason=close_reason.text,
        **_known(reconnect_in=close_reason.reconnect_in),
    )


def sse_block(text: str) -> str:
    """The text as `data:` lines, one for each of its own (HTML, section 9.2.6: CR, LF and CRLF all end a line)."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n")
    fields = lines.replace("\n", "\ndata: ")
    return f"data: {fields}\n"


class Resume(msgspec.Struct, frozen=True):
    """Where to go on: a cursor as text, with or without the positions that were seen since; or the epoch and positions
    that `hello` and the entries gave."""

    cursor: str | None = None
    epoch: str | None = None
    positions: dict[str, Annotated[int, msgspec.Meta(ge=0)]] = {}

    def asked(self, tag: str) -> Cursor | None:
        """The cursor that is meant; None for none, which is from now on. One that can't be read is a place in no
        history, and so a gap in this one.

        A cursor says whose positions those beside it are, and of which epoch. They take it forward, never back.
        """
        if self.cursor is not None:
            shown = read_cursor(self.cursor) or Cursor("", "", {})
            if shown.epoch != (self.epoch or shown.epoch):
                # Positions of another history than the cursor's: to skip by them would be to lose.
                return shown
            since = {name: max(at, shown.positions.get(name, 0)) for name, at in self.positions.items()}
            return Cursor(shown.epoch, shown.tag, {**shown.positions, **since})
        if self.epoch is None and not self.positions:
            return None
        return Cursor(self.epoch or "", tag, self.positions)


class Command(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a client may say: one of these, or `auth` and `resume` together. `auth` is a token, and null is none. `ping`
    is the JSON text of any value."""

    resume: Resume | None = None
    auth: str | msgspec.UnsetType = msgspec.UNSET
    ping: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


_commands = msgspec.json.Decoder(Command).decode


def read_command(frame: str | bytes) -> Command:
    """Reads a text frame; a binary frame (bytes) is never a command.

    Raises InvalidInput. Its `field` is "auth" if the frame, JSON or not, has `"auth"` anywhere: its client wanted to
    show a token.
    """
    if isinstance(frame, bytes):
        raise InvalidInput("Commands are text, not binary.", "auth" if b'"auth"' in frame else None)
    named = "auth" if '"auth"' in frame else None
    if too_deep(frame):
        raise InvalidInput("This is no command: it is nested too deeply.", named)
    try:
        command = _commands(frame)
    except msgspec.DecodeError as fault:
        raise InvalidInput(f"This is no command: {fault}", named) from None
    if command == Command():
        raise InvalidInput("A command is one of resume, auth and ping.")
    return command


def _json(**fields: Any) -> str:
    return msgspec.json.encode(fields).decode()


def _known(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}
