"""One WebSocket, as each socket adapter provides it to the gate."""

from typing import Final, Protocol

import msgspec

from adapters.web.handshake import Handshake
from adapters.web.refusals import HandshakeRefusal
from application.hub.transport import Transport
from application.live.client_commands import CommandPolicy
from domain.protocol.herald_v1 import CloseCode, CloseReason

# Characters of a text frame from a client, bytes of a binary one. The largest that clients send are tokens.
MAX_FRAME_LENGTH: Final = 64 * 1024


class SocketPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """Limits and timings of the sockets of this node."""

    max_sockets: int  # each takes a file descriptor
    # Sockets that are accepted and have yet to send a token in their first frame, and the time that each has for it.
    max_unauthenticated: int
    first_frame_timeout_s: float = 5.0
    close_timeout_s: float = 1.0  # for sending a close frame; a client that does not read never gets it
    final_frames_timeout_s: float = 1.0  # for sending the last frames of a session that is closed
    # What a client that sent too much goes on sending is discarded until it pauses, but not for longer than this.
    discard_pause_s: float = 0.1
    max_discard_s: float = 3.0
    commands: CommandPolicy = CommandPolicy()


class ClientGone(Exception):
    """The client has closed the connection, or it broke."""


class FrameTooLarge(Exception):
    """A client has sent a frame of more than MAX_FRAME_LENGTH characters or bytes."""

    close_reason: Final = CloseReason(CloseCode.TOO_LARGE, f"a frame may have {MAX_FRAME_LENGTH} characters at most")


class SocketTransport(Transport, Protocol):
    """Sends the frames of one session over its socket, in order. Created by the task that writes."""

    @property
    def is_full(self) -> bool:
        """Whether so much is unsent that the writer must wait."""

    async def wait_for_room(self) -> None:
        """Waits until it is not full. Raises ClientGone."""

    def send(self, frame: str) -> None:
        """Sends a frame behind those that are unsent. Raises ClientGone."""

    async def flush(self) -> None:
        """Waits until all frames are sent. Raises ClientGone."""


class Socket(Protocol):
    """A WebSocket from its handshake to its end. Ping frames are answered by the adapter."""

    @property
    def handshake(self) -> Handshake: ...

    async def refuse(self, refusal: HandshakeRefusal) -> None:
        """Answers the handshake with an HTTP status."""

    async def accept(self, subprotocol: str | None) -> None:
        """Answers the handshake with a socket."""

    async def receive(self) -> str | bytes:
        """The next frame: text, or bytes if it is binary. Raises ClientGone."""

    def transport(self) -> SocketTransport:
        """For the next session of this socket."""

    async def close(self, code: int, reason: str, last_frame: str | None) -> None:
        """Sends the last frame, if there is one, and a close frame. No other task may be receiving. Raises
        ClientGone."""
