"""The WebSocket adapter for Litestar under Granian."""

from typing import Any

from litestar import WebSocket
from litestar.exceptions import WebSocketDisconnect

from adapters.sockets.litestar_handshake import handshake_of
from adapters.sockets.send_window import SendWindow
from adapters.web.refusals import HandshakeRefusal
from adapters.web.socket import ClientGone


class LitestarSocket:
    """One WebSocket of Litestar, with the interface that SocketGate needs (adapters.web.socket.Socket).

    Under Granian, ping frames are answered only while a task waits in `receive`, and `close` sends its close frame only
    after this task has ended.
    """

    def __init__(self, socket: WebSocket[Any, Any, Any]) -> None:
        self._socket = socket
        self.handshake = handshake_of(socket)

    async def refuse(self, refusal: HandshakeRefusal) -> None:
        await self._socket.receive()
        body = refusal.body(self._socket.app.state.public_url)
        headers = refusal.headers(body)
        # The messages of the ASGI extension `websocket.http.response`.
        send: Any = self._socket.send
        await send({"type": "websocket.http.response.start", "status": refusal.status, "headers": headers})
        await send({"type": "websocket.http.response.body", "body": body})

    async def accept(self, subprotocol: str | None) -> None:
        try:
            await self._socket.accept(subprotocols=subprotocol)
        except WebSocketDisconnect as error:
            raise ClientGone from error

    async def receive(self) -> str | bytes:
        try:
            event: Any = await self._socket.receive()
        except WebSocketDisconnect as error:
            raise ClientGone from error
        if event["type"] == "websocket.disconnect":
            raise ClientGone
        text: str | None = event.get("text")
        return text if text is not None else event.get("bytes") or b""

    def transport(self) -> SendWindow:
        return SendWindow(self._socket)

    async def close(self, code: int, reason: str, last_frame: str | None) -> None:
        try:
            if last_frame is not None:
                await self._socket.send_text(last_frame)
            await self._socket.close(code=code, reason=reason)
        except WebSocketDisconnect as error:
            raise ClientGone from error
