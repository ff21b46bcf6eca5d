"""What a client requests when it connects, the request to open a session, and the request to replace a session by
another one."""

from typing import Literal, TypeAlias

import msgspec

from domain.endpoints import Endpoint
from domain.identity import Identity
from domain.protocol.entry_kinds import View
from domain.protocol.plain_stream_messages import PlainMessages
from domain.streams import StreamName

# Where a client has connected: at the main port, or at the second listener for WebSockets.
Listener: TypeAlias = Literal["main", "second"]


class ConnectRequest(msgspec.Struct, frozen=True):
    """What a client requests when it connects to an endpoint.

    `protocol`: True for `herald.v1`, False for a plain client. `feeds` and `types`: the feeds, and the types of events,
    to which the client restricts its session; None means all. `cursor`: where to resume. `first_frame_read`: the
    client's first frame, which may contain a cursor, has been handled already, so the new session does not wait for it.
    `listener`: where the client has connected.
    """

    endpoint: Endpoint
    identity: Identity
    protocol: bool = False
    feeds: tuple[str, ...] | None = None
    types: frozenset[str] | None = None
    cursor: str | None = None
    first_frame_read: bool = False
    listener: Listener = "main"


class SessionRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The request to open a session, for `Hub.open`.

    - `client`: what the client has requested. The session is checked against it when routes are reloaded.
    - `endpoint`: the name of the endpoint, as a label in logs and metrics.
    - `view`: the protocol, transport and filters of the client.
    - `plain`: the first message and the heartbeat of a plain event stream.
    - `epoch`: the epoch of the store.
    - `cursor`: the cursor that the client has sent with its handshake; None if it has sent none.
    - `may_resume`: whether the client's first command may contain another cursor to start from. If so, nothing is sent
      until the command has arrived, or for `first_command_timeout_s` seconds.
    - `retry_ms`: the time in milliseconds after which the client of an event stream is to reconnect.
    """

    id: str
    client: ConnectRequest
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
    """The request to replace a session by another one on the same socket. ClientCommands makes it when the client has
    sent a token, if the session has no user or if the token gives access to other streams. RecheckSessions makes it
    when routes were reloaded and give the client other streams.

    `identity` is that of the token, or of the replaced session. The new session starts from `cursor`. If `cursor` is
    None, it starts at the positions of the replaced session if the client knows these or uses no protocol, and
    otherwise from the cursor of the request for the replaced session.
    """

    identity: Identity
    cursor: str | None = None
