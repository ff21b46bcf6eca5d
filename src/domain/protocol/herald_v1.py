"""The messages of the server in `herald.v1` (JSON objects), and close codes. `docs/protocol.md` describes them for
authors of clients.

The field `kind` of each object is its type. Objects about an entry also have `stream`, `seq` (the position of the
arrival) and, if it differs, `changed` (the position after which a client resumes).
"""

from collections.abc import Mapping
from datetime import datetime
from enum import IntEnum
from typing import Any, Final

import msgspec

from domain.protocol.plain_envelopes import to_rfc3339

SUBPROTOCOL: Final = "herald.v1"


class CloseCode(IntEnum):
    """The code with which the server closes a socket. It says what the client should do: reconnect with backoff and
    jitter after 1001, 1006, 1011, 1012, 1013 and 4000 to 4499; stop after 4500 to 4999.
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
    """Why the server ends a session: a code for programs, and a text for people. `reconnect_in` is the time in seconds
    that the client should wait before it reconnects; None if the client decides.
    """

    code: CloseCode
    text: str
    reconnect_in: float | None = None


def hello(
    session: str,
    epoch: str,
    positions: Mapping[str, int],
    cursor: str,
    heartbeat: float,
    resumed: bool,
    gaps: tuple[str, ...],
    unread: int | None,
    unseen: int | None,
) -> str:
    """Returns `hello`, the first object of a session. `session` is the id of the session, `positions` its position in
    each stream by public name, and `cursor` the same positions as a cursor. `heartbeat` is the interval of heartbeats
    in seconds. `resumed` is true if the client's cursor was used and there is no gap; `gaps` are the streams in which
    entries after the cursor may be missing. `unread` and `unseen` are the numbers of unread and of unseen notifications
    in the inbox; None for a session without an inbox.
    """
    return _json(
        kind="hello",
        session=session,
        epoch=epoch,
        positions=positions,
        cursor=cursor,
        heartbeat=heartbeat,
        resumed=resumed,
        gap=gaps,
        **_without_none(unread=unread, unseen=unseen),
    )


def gap(stream: str, after: int, upto: int) -> str:
    """Returns the object `gap`. It is sent within a session if entries of the stream were deleted before they could be
    sent: those after position `after`, up to and including position `upto`.
    """
    return _json(kind="gap", stream=stream, after=after, upto=upto)


def heartbeat(now: datetime, cursor: str) -> str:
    return _json(kind="heartbeat", time=to_rfc3339(now), cursor=cursor)


def pong(ping: msgspec.Raw) -> str:
    """Returns the object `pong`, the reply to the command `ping`. It contains the value of `ping`, unless that is null
    or true.
    """
    echo = msgspec.json.format(bytes(ping), indent=-1)
    return _json(kind="pong") if echo in (b"null", b"true") else _json(kind="pong", ping=msgspec.Raw(echo))


def error(code: str, detail: str) -> str:
    return _json(kind="error", code=code, detail=detail)


def authenticated(expires_at: float | None) -> str:
    """Returns the object `auth`, the reply to a command `auth` whose token is accepted. `expires_at` is the time at
    which the session ends unless the client sends a new token, in seconds since 1970; None if the token does not
    expire.
    """
    return _json(kind="auth", expires_at=expires_at)


def bye(close_reason: CloseReason) -> str:
    return _json(
        kind="bye",
        code=int(close_reason.code),
        reason=close_reason.text,
        **_without_none(reconnect_in=close_reason.reconnect_in),
    )


def sse_block(text: str) -> str:
    """Returns a text as the `data:` lines of an event stream, one for each line of the text. CR, LF and CRLF all end a
    line (HTML, section 9.2.6).
    """
    lines = text.replace("\r\n", "\n").replace("\r", "\n")
    fields = lines.replace("\n", "\ndata: ")
    return f"data: {fields}\n"


def _json(**fields: Any) -> str:
    return msgspec.json.encode(fields).decode()


def _without_none(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}
