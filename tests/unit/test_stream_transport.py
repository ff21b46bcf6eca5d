"""The transport of an event stream: frames that are passed to the web server directly."""

import asyncio
from typing import Any

from adapters.sockets.event_stream import StreamTransport


class WebServer:
    """Accepts parts of a response at once, or when `has_room` is done, like Granian."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.has_room: asyncio.Future[None] | None = None

    def send(self, message: Any) -> Any:
        assert message["type"] == "http.response.body"
        assert message["more_body"]
        self.parts.append(message["body"])
        return self.has_room if self.has_room is not None else object()


async def test_frames_are_passed_on_while_the_server_has_room() -> None:
    server = WebServer()
    transport = StreamTransport(server.send)
    assert [transport.try_send(frame) for frame in ("a", "é")] == [True, True]
    assert server.parts == [b"a", "é".encode()]
    assert transport.oldest_unsent is None


async def test_no_frame_overtakes_one_that_the_server_has_no_room_for() -> None:
    server = WebServer()
    transport = StreamTransport(server.send)
    server.has_room = asyncio.get_running_loop().create_future()
    assert transport.try_send("a")
    oldest = transport.oldest_unsent
    assert oldest is not None
    assert not transport.try_send("b")
    sending = asyncio.create_task(transport.sending())
    await asyncio.sleep(0)
    assert not sending.done()
    server.has_room.set_result(None)
    await sending
    assert transport.oldest_unsent == oldest + 1
    assert not transport.try_send("c")
    transport.sent()
    assert transport.try_send("d")
    assert server.parts == [b"a", b"d"]


async def test_without_the_servers_function_the_response_sends_all_frames() -> None:
    assert StreamTransport(None).try_send("a") is False
    released = StreamTransport(WebServer().send)
    released.release()
    assert released.try_send("a") is False
