"""The interface of one WebSocket. Each WebSocket adapter implements it, and SocketGate uses it."""

from typing import Final, Protocol

import msgspec

from adapters.web.handshake import Handshake
from adapters.web.refusals import HandshakeRefusal
from application.hub.transport import Transport
from application.live.client_commands import CommandPolicy
from domain.protocol.herald_v1 import CloseCode, CloseReason

# Maximum length of a frame from a client: characters of a text frame, bytes of a binary frame. The longest frames that
# clients need to send contain tokens.
MAX_FRAME_LENGTH: Final = 64 * 1024


class SocketPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """Limits and timeouts of the WebSockets of this node."""

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
    """The client has closed the connection, or it broke."""


class FrameTooLarge(Exception):
    """A client has sent a frame of more than MAX_FRAME_LENGTH characters or bytes."""

    close_reason: Final = CloseReason(CloseCode.TOO_LARGE, f"a frame may have {MAX_FRAME_LENGTH} characters at most")


class SocketTransport(Transport, Protocol):
    """Sends the frames of one session over its socket, in order. The task that writes to the socket creates it."""

    @property
    def is_full(self) -> bool:
        """Whether so many frames are unsent that the writer must wait before it sends more."""

    async def wait_for_room(self) -> None:
        """Waits until `is_full` is false. Raises ClientGone."""

    def send(self, frame: str) -> None:
        """Sends a frame after all unsent frames. Raises ClientGone."""

    async def flush(self) -> None:
        """Waits until all frames are sent. Raises ClientGone."""


class Socket(Protocol):
    """A WebSocket from its handshake to its end. The adapter responds to ping frames by itself."""

    @property
    def handshake(self) -> Handshake: ...

    async def refuse(self, refusal: HandshakeRefusal) -> None:
        """Refuses the handshake with an HTTP error response."""

    async def accept(self, subprotocol: str | None) -> None:
        """Accepts the handshake, with this subprotocol."""

    async def receive(self) -> str | bytes:
        """Waits for the next frame and returns it: a text frame as str, a binary frame as bytes. Raises ClientGone."""

    def transport(self) -> SocketTransport:
        """Returns a new transport, for the next session of this socket."""

    async def close(self, code: int, reason: str, last_frame: str | None) -> None:
        """Sends `last_frame` if it is given, then a close frame. While this runs, no other task may wait in `receive`.
        Raises ClientGone."""
