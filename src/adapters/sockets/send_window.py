"""The way out of a socket: the server's own send, without Litestar's layers around it."""

import asyncio
from collections import deque
from typing import Any, Final

from litestar import WebSocket
from litestar.enums import ScopeType
from litestar.exceptions import WebSocketDisconnect
from litestar.types import ASGIApp, Receive, Scope, Send

# What may be on its way to one socket. In a burst it saves the loop most of its turns; a client that never reads costs
# no more than this.
MOST_FRAMES: Final = 64
MOST_BYTES: Final = 16 * 1024

_SEND: Final = "herald_send"


def with_direct_send(app: ASGIApp) -> ASGIApp:
    """Keeps the server's send where `SendWindow` finds it."""

    def serve(scope: Scope, receive: Receive, send: Send) -> Any:
        if scope["type"] == ScopeType.WEBSOCKET:
            scope["state"][_SEND] = send
        return app(scope, receive, send)

    return serve


class SendWindow:
    """Frames on their way to one socket, in order.

    A send begins when it is called, and Granian's awaitable says when the kernel has taken it. So nobody waits for a
    frame, only for the oldest when too much is on its way. Frames arrive in the order of the calls because Granian has
    one runtime thread here, which takes them in turn.
    """

    def __init__(self, socket: WebSocket[Any, Any, Any]) -> None:
        self._send = socket.scope["state"].get(_SEND, socket.send)
        self._going: deque[tuple[Any, int]] = deque()
        self._size = 0
        self._taken = 0

    def try_send(self, text: str) -> bool:
        """Hands the frame over, unless an earlier one is still on its way."""
        if self._going:
            self._forget_taken()
            if self._going:
                return False
        try:
            self.send(text)
        except (WebSocketDisconnect, RuntimeError):
            return False
        return True

    @property
    def full(self) -> bool:
        """Whether too much is on its way for another frame."""
        return len(self._going) >= MOST_FRAMES or self._size > MOST_BYTES

    async def wait_for_room(self) -> None:
        """Waits until there is room. Raises WebSocketDisconnect."""
        while self._going and self.full:
            await self._oldest()

    async def flush(self) -> None:
        while self._going:
            await self._oldest()

    @property
    def oldest_unsent(self) -> int | None:
        """The number of the oldest frame that the kernel has not taken; None if it has all."""
        self._forget_taken()
        return self._taken if self._going else None

    def send(self, text: str) -> None:
        """Sends the frame behind those on their way. Raises WebSocketDisconnect."""
        going: Any = self._send({"type": "websocket.send", "text": text, "bytes": None})
        if asyncio.iscoroutine(going):
            going = asyncio.ensure_future(going)
        elif not hasattr(going, "done"):
            # Granian's answer on a socket that is gone.
            raise WebSocketDisconnect(detail="the client has left")
        self._going.append((going, len(text)))
        self._size += len(text)

    async def _oldest(self) -> None:
        await self._going[0][0]
        self._forget_taken()

    def _forget_taken(self) -> None:
        while self._going and self._going[0][0].done():
            self._size -= self._going.popleft()[1]
            self._taken += 1
