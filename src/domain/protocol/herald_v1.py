"""The server's messages of `herald.v1`, and close codes. `docs/protocol.md` describes them for authors of clients.

The field `kind` is the type of an object. Objects that belong to a stream have `stream` and `seq`; and `changed`, if
the position to resume after is later than that of the arrival.
"""

from collections.abc import Mapping
from datetime import datetime
from enum import IntEnum
from typing import Any, Final

import msgspec

from domain.protocol.plain_envelopes import to_rfc3339

SUBPROTOCOL: Final = "herald.v1"


class CloseCode(IntEnum):
    """Why a socket was closed. The code decides what the client should do.

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
    """Why a session ends. `reconnect_in` is the delay in seconds after which the client is requested to reconnect, or
    None.
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
) -> str:
    """Returns the first object of a session. `gap` has the streams in which entries may be missing. `unread` is the
    inbox's unread total; None for a session without an inbox.
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
        **_without_none(unread=unread),
    )


def gap(stream: str, after: int, upto: int) -> str:
    """Returns the object that reports, within a session, that the entries after position `after`, up to `upto`, are no
    longer stored.
    """
    return _json(kind="gap", stream=stream, after=after, upto=upto)


def heartbeat(now: datetime, cursor: str) -> str:
    return _json(kind="heartbeat", time=to_rfc3339(now), cursor=cursor)


def pong(ping: msgspec.Raw) -> str:
    """Returns the reply to a ping, with the JSON text of the ping, on one line."""
    echo = msgspec.json.format(bytes(ping), indent=-1)
    return _json(kind="pong") if echo in (b"null", b"true") else _json(kind="pong", ping=msgspec.Raw(echo))


def error(code: str, detail: str) -> str:
    return _json(kind="error", code=code, detail=detail)


def authenticated(expires_at: float | None) -> str:
    """Returns the reply to `auth`. The session ends at `expires_at`, in seconds since 1970."""
    return _json(kind="auth", expires_at=expires_at)


def bye(close_reason: CloseReason) -> str:
    return _json(
        kind="bye",
        code=int(close_reason.code),
        reason=close_reason.text,
        **_without_none(reconnect_in=close_reason.reconnect_in),
    )


def sse_block(text: str) -> str:
    """Returns the text as the `data:` lines of an event stream, one for each line of the text (HTML, section 9.2.6: CR,
    LF and CRLF all end a line).
    """
    lines = text.replace("\r\n", "\n").replace("\r", "\n")
    fields = lines.replace("\n", "\ndata: ")
    return f"data: {fields}\n"


def _json(**fields: Any) -> str:
    return msgspec.json.encode(fields).decode()


def _without_none(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}
