"""What the hub needs to open a session, and to replace one."""

import msgspec

from domain.identity import Identity
from domain.protocol.entry_kinds import View
from domain.protocol.plain import PlainMessages
from domain.streams import StreamName


class SessionRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A session to be opened: whose, on which streams, from which cursor.

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
    """The session that follows at the same client: a client without a user has shown a token, or a token that opens
    other streams. `cursor` is where it resumes; None stands for the positions of the replaced session if the client
    knows them from its `hello`, and otherwise for the present."""

    identity: Identity
    cursor: str | None = None
