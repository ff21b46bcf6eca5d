"""The references that are left when a WebSocket was served: Granian closes a connection when there are none."""

import gc
import weakref
from types import SimpleNamespace
from typing import Any

import pytest

from adapters.sockets.direct_send import with_direct_send
from adapters.sockets.send_window import SendWindow
from adapters.web.socket import ClientGone


class ServerSend:
    """The `send` function of a web server, to which weak references are possible."""

    def __call__(self, message: Any) -> None:
        return None


async def test_a_transport_that_outlives_its_socket_does_not_keep_the_connection() -> None:
    windows: list[SendWindow] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        windows.append(SendWindow(SimpleNamespace(scope=scope, send=send)))

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    send = ServerSend()
    alive = weakref.ref(send)
    gc.disable()
    try:
        scope: Any = {"type": "websocket", "state": {}}
        await with_direct_send(app)(scope, receive, send)
        del send
        assert alive() is None
    finally:
        gc.enable()
    assert scope["state"] == {}
    with pytest.raises(ClientGone):
        windows[0].send("frame")
    assert windows[0].try_send("frame") is False
