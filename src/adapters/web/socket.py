"""The interface between SocketGate and a WebSocket adapter: Socket and SocketTransport, with their exceptions and
limits. Each WebSocket adapter implements both classes, so SocketGate does not depend on a web framework."""

from typing import Final, Protocol

import msgspec

from adapters.web.handshake_request import Handshake
from adapters.web.refusals import HandshakeRefusal
from application.hub.transport import Transport
from application.live.session_commands import CommandPolicy
from domain.protocol.herald_v1 import CloseCode, CloseReason

# Maximum length of a frame from a client: characters of a text frame, bytes of a binary frame. The longest frames that
# clients need to send contain tokens.
MAX_FRAME_LENGTH: Final = 64 * 1024


class SocketPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """The limits and timeouts that SocketGate applies to the WebSockets of this node."""

    max_sockets: int  # each takes a file descriptor
    # Maximum number of accepted sockets that have not sent their token (in their first frame) yet, and the timeout for
    # it.
    max_unauthenticated: int
    first_frame_timeout_s: float = 5.0
    close_timeout_s: float = 1.0  # for sending a close frame; a client that does not read never gets it
    final_frames_timeout_s: float = 1.0  # for sending the last frames of a session that is closed
    # When a client is closed because it has sent too much, its further input is discarded until it has sent nothing for
    # `discard_pause_s`, for at most `max_discard_s`.
    discard_pause_s: float = 0.1
    max_discard_s: float = 3.0
    commands: CommandPolicy = CommandPolicy()


class ClientGone(Exception):
    """The connection to the client has ended: the client has closed it, or it was lost."""


class FrameTooLarge(Exception):
    """A client has sent a frame of more than MAX_FRAME_LENGTH characters or bytes."""

    close_reason: Final = CloseReason(CloseCode.TOO_LARGE, f"a frame may have {MAX_FRAME_LENGTH} characters at most")


class SocketTransport(Transport, Protocol):
    """Sends the frames of one session over its WebSocket, in the order of the calls. Create it in the task that sends
    the frames, because `force_close` cancels the task in which it was created."""

    @property
    def is_full(self) -> bool:
        """Returns whether too many frames or characters are unsent: call `wait_for_room` before the next `send`."""

    async def wait_for_room(self) -> None:
        """Waits until `is_full` is false. Raises ClientGone if the connection has ended."""

    def send(self, frame: str) -> None:
        """Starts to send a frame, after all unsent frames, and returns without waiting. Raises ClientGone if the
        connection has ended."""

    async def flush(self) -> None:
        """Waits until no frame is unsent. Raises ClientGone if the connection has ended."""


class Socket(Protocol):
    """One WebSocket, from its handshake to its end. Implementations answer ping frames themselves."""

    @property
    def handshake(self) -> Handshake: ...

    async def refuse(self, refusal: HandshakeRefusal) -> None:
        """Sends an HTTP error response instead of accepting the handshake, which ends the connection."""

    async def accept(self, subprotocol: str | None) -> None:
        """Accepts the handshake, with this subprotocol; None for no subprotocol. Raises ClientGone."""

    async def receive(self) -> str | bytes:
        """Waits for the next frame from the client and returns it: a text frame as str, a binary frame as bytes. Raises
        ClientGone if the connection has ended."""

    def transport(self) -> SocketTransport:
        """Returns a new transport for one session. A socket has several sessions, one after another, if a session is
        replaced by another one of the same client."""

    async def close(self, code: int, reason: str, last_frame: str | None) -> None:
        """Sends `last_frame`, unless it is None, and then a close frame with `code` and `reason`. No task may wait in
        `receive` meanwhile. Raises ClientGone if the connection has ended."""
