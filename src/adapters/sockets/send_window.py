"""Sends frames over one WebSocket, and limits how much is unsent."""

import asyncio
from collections import deque
from typing import Any, Final

from litestar import WebSocket
from litestar.exceptions import WebSocketDisconnect
from litestar.types import Message

from adapters.sockets.direct_send import direct_send, release_with
from adapters.web.socket import ClientGone

# Maximum number of unsent frames of one socket, and of the characters in them. Because several frames may be unsent,
# the writer rarely has to wait during a burst. The limits bound the memory for a client that never reads.
MAX_UNSENT_FRAMES: Final = 64
MAX_UNSENT_CHARS: Final = 16 * 1024


def _raise_client_gone(message: Message) -> Any:
    raise ClientGone


class SendWindow:
    """The transport of one WebSocket under Granian (see adapters.web.socket.SocketTransport).

    A frame is unsent until the kernel has accepted it. `is_full` is true if 64 frames or more than 16,384 characters
    are unsent; `wait_for_room` then waits until the kernel has accepted enough of them.
    """

    # Granian begins to send a frame when `send` is called; the awaitable that it returns is done when the kernel has
    # accepted the frame. Frames are sent in the order of the calls, because Herald runs Granian with one
    # runtime thread.

    def __init__(self, socket: WebSocket[Any, Any, Any]) -> None:
        self._send: Any = direct_send(socket.scope) or socket.send
        self._writer = asyncio.current_task()
        self._unsent: deque[tuple[Any, int]] = deque()
        self._unsent_chars = 0
        self._sent_frames = 0
        release_with(socket.scope, self)

    def release(self) -> None:
        """Removes the reference to the web server's `send` function (see `_Connection` for the reason). From now on,
        `send` raises ClientGone."""
        self._send = _raise_client_gone
        self._unsent.clear()

    def try_send(self, frame: str) -> bool:
        if self._unsent:
            self._drop_sent()
            if self._unsent:
                return False
        try:
            self.send(frame)
        except (ClientGone, WebSocketDisconnect, RuntimeError):
            # The client has disconnected. The task that reads from the socket handles this.
            return False
        return True

    @property
    def oldest_unsent(self) -> int | None:
        self._drop_sent()
        return self._sent_frames if self._unsent else None

    def force_close(self) -> None:
        if self._writer is not None:
            self._writer.cancel()

    @property
    def is_full(self) -> bool:
        return len(self._unsent) >= MAX_UNSENT_FRAMES or self._unsent_chars > MAX_UNSENT_CHARS

    async def wait_for_room(self) -> None:
        while self._unsent and self.is_full:
            await self._wait_for_oldest()

    async def flush(self) -> None:
        while self._unsent:
            await self._wait_for_oldest()

    def send(self, frame: str) -> None:
        sending: Any = self._send({"type": "websocket.send", "text": frame, "bytes": None})
        if asyncio.iscoroutine(sending):
            sending = asyncio.ensure_future(sending)
        elif not hasattr(sending, "done"):
            # Granian returns no awaitable if the client has disconnected.
            raise ClientGone
        self._unsent.append((sending, len(frame)))
        self._unsent_chars += len(frame)

    async def _wait_for_oldest(self) -> None:
        try:
            await self._unsent[0][0]
        except WebSocketDisconnect as error:
            raise ClientGone from error
        self._drop_sent()

    def _drop_sent(self) -> None:
        while self._unsent and self._unsent[0][0].done():
            self._unsent_chars -= self._unsent.popleft()[1]
            self._sent_frames += 1
