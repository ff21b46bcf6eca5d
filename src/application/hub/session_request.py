"""The request to open a session, and the request to replace a session by another one."""

import msgspec

from domain.identity import Identity
from domain.protocol.entry_kinds import View
from domain.protocol.plain_stream_messages import PlainMessages
from domain.streams import StreamName


class SessionRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The request to open a session, for `Hub.open`.

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
    sent a token, if the session has no user or if the token gives access to other streams.

    `identity` is that of the token. The new session starts from `cursor`. If `cursor` is None, it starts at the
    positions of the replaced session if the client has received these in `hello`, and otherwise from the cursor of the
    request for the replaced session.
    """

    identity: Identity
    cursor: str | None = None
