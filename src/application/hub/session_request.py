"""Requests to open a session, and to replace one."""

import msgspec

from domain.identity import Identity
from domain.protocol.entry_kinds import View
from domain.protocol.plain_stream import PlainMessages
from domain.streams import StreamName


class SessionRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A session to be opened: its identity, its streams, and the cursor to start from.

    `endpoint` is the label of logs and metrics, `plain` has the messages of its plain event streams.
    `retry_ms` is the reconnection time that event streams are sent. With `may_resume`, the client's first command may
    name another cursor, and nothing is sent before it or a timeout.
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
    """The session that replaces another one of the same client: the client had no user and has sent a token, or has
    sent a token that opens other streams. It resumes from `cursor`; None stands for the positions of the replaced
    session if the client knows them from its `hello`, and otherwise for the cursor of the previous request."""

    identity: Identity
    cursor: str | None = None
