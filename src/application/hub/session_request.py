"""Requests to open a session, and to replace one."""

import msgspec

from domain.identity import Identity
from domain.protocol.entry_kinds import View
from domain.protocol.plain_stream import PlainMessages
from domain.streams import StreamName


class SessionRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A session to be opened: its identity, its streams, and the cursor to start from.

    `endpoint` is the label of logs and metrics. `plain` has the messages that a plain event stream sends besides
    entries. `retry_ms` is the reconnection time that event streams are sent. With `may_resume`, the client's first
    command may contain another cursor; nothing is sent until that command has arrived or a timeout has passed.
    """

    id: str
    endpoint: str
    identity: Identity
    view: View
    plain: PlainMessages
    epoch: str
    streams: tuple[StreamName, ...]
    cursor: str | None = None
    may_resume: bool = False
    retry_ms: int = 0


class ReplacementSession(msgspec.Struct, frozen=True):
    """The session that replaces another one of the same client. The client has sent a token: its session had no user,
    or the token gives access to other streams. The new session resumes from `cursor`. If that is None, it resumes from
    the positions of the replaced session if the client has received them in `hello`, and otherwise from the cursor of
    the previous request."""

    identity: Identity
    cursor: str | None = None
