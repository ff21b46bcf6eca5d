"""What arrives on one WebSocket: assembles messages from frames, and bounds their size."""

import asyncio
from collections import deque
from typing import Final

from picows import WSCloseCode, WSFrame, WSMsgType, WSProtocolError

from adapters.web.socket import MAX_FRAME_LENGTH, ClientGone, FrameTooLarge

# Maximum size in bytes of a message, together with what has arrived of the next one, before the client has a session
# and while it has one. Until a session exists, the client may be anyone.
MAX_BYTES_BEFORE_SESSION: Final = 16 * 1024
MAX_BYTES: Final = MAX_FRAME_LENGTH

# Reading from the connection pauses while this many bytes of messages wait to be received.
MAX_WAITING_BYTES: Final = 64 * 1024

# The size of the longest header of a frame (RFC 6455, section 5.2).
_HEADER_BYTES: Final = 14


class Incoming:
    """The messages of one client that have arrived and were not received yet.

    A message is bounded in bytes as a whole, whether it has one frame or several, and also while it is incomplete. One
    that is larger ends the reading: `receive` raises FrameTooLarge once.
    """

    __slots__ = (
        "_fragments",
        "_kind",
        "_limit",
        "_messages",
        "_reported",
        "_size",
        "_too_large",
        "_waiter",
        "gone",
        "unfinished",
    )

    def __init__(self) -> None:
        self.gone = False
        self.unfinished = 0  # bytes of a frame that is incomplete
        self._messages: deque[str | bytes] = deque()
        self._size = 0
        self._fragments: bytearray | None = None
        self._kind = WSMsgType.TEXT
        self._limit = MAX_BYTES_BEFORE_SESSION
        self._too_large = False
        self._reported = False  # by FrameTooLarge
        self._waiter: asyncio.Future[None] | None = None

    @property
    def is_full(self) -> bool:
        return self._size > MAX_WAITING_BYTES

    @property
    def too_large(self) -> bool:
        """Returns whether a message is too large: what arrives afterwards has no meaning."""
        return self._too_large

    def session_opened(self) -> None:
        self._limit = MAX_BYTES

    def check_size(self) -> bool:
        """Returns False if the message that is arriving is too large; then wakes the task that waits in `receive`."""
        size = self.unfinished + (len(self._fragments) if self._fragments is not None else 0)
        if size <= self._limit + _HEADER_BYTES:
            return True
        self.refuse_too_large()
        return False

    def refuse_too_large(self) -> None:
        self._too_large = True
        self._fragments = None
        self._wake()

    def add(self, frame: WSFrame) -> None:
        """Adds a data frame. Raises WSProtocolError if the client violates the protocol."""
        # No extension is negotiated (RFC 6455, section 5.2).
        if frame.rsv1 or frame.rsv2 or frame.rsv3:
            raise WSProtocolError(WSCloseCode.PROTOCOL_ERROR, "reserved bits are set")
        kind, fragments = frame.msg_type, self._fragments
        if (kind == WSMsgType.CONTINUATION) != (fragments is not None):
            raise WSProtocolError(WSCloseCode.PROTOCOL_ERROR, "fragments of messages are mixed")
        if (len(fragments) if fragments is not None else 0) + frame.payload_size > self._limit:
            self.refuse_too_large()
        elif not frame.fin:
            if fragments is None:
                fragments, self._kind = bytearray(), kind
                self._fragments = fragments
            fragments += frame.get_payload_as_memoryview()
        elif fragments is None:
            self._put(kind, frame.get_payload_as_bytes())
        else:
            fragments += frame.get_payload_as_memoryview()
            self._fragments = None
            self._put(self._kind, bytes(fragments))

    def _put(self, kind: WSMsgType, payload: bytes) -> None:
        try:
            message = payload.decode() if kind == WSMsgType.TEXT else payload
        except UnicodeDecodeError:
            raise WSProtocolError(WSCloseCode.INVALID_TEXT, "a text message is not UTF-8") from None
        self._messages.append(message)
        # An empty message costs memory, too.
        self._size += len(payload) + 64
        self._wake()

    def activity(self) -> None:
        """Reports that bytes have arrived and were discarded, because a message was too large."""
        # Until FrameTooLarge is raised, there is nothing to report.
        if self._reported and not self._messages:
            self._messages.append(b"")
            self._wake()

    def end(self) -> None:
        """Reports that the connection has ended."""
        self.gone = True
        self._wake()

    async def receive(self) -> str | bytes:
        """Waits for the next message and returns it. Raises FrameTooLarge, and ClientGone if the connection has ended
        and all messages were received."""
        while not self._messages:
            if self._too_large and not self._reported:
                self._reported = True
                raise FrameTooLarge
            if self.gone:
                raise ClientGone
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        message = self._messages.popleft()
        self._size = self._size - len(message) - 64 if self._messages else 0
        return message

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
