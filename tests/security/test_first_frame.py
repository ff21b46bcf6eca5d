"""The first frame of a socket has the same length limit as all others."""

from collections.abc import Iterator

import psutil
import pytest

from adapters.web.socket import MAX_FRAME_LENGTH
from tests.support.clients import closed, connect
from tests.support.server import SECRET, Server


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server without public streams, so sockets wait for their first frame."""
    server = Server({"HERALD_AUTH": "jwt", "HERALD_JWT_SECRET": SECRET, "HERALD_PROFILE": "groups"}).start(ready=True)
    yield server
    server.kill()


@pytest.mark.parametrize(("length", "code"), [(MAX_FRAME_LENGTH + 1, 1009), (MAX_FRAME_LENGTH, 4505)])
async def test_a_first_frame_over_the_limit_is_refused_unread(server: Server, length: int, code: int) -> None:
    path = "/ws/v2/notification-service/notifications/users/ada"
    socket = await connect(server.ws_url + path, subprotocols=["herald.v1"])
    await socket.send("[" * length)
    assert await closed(socket) == code


async def test_a_frame_with_many_escaped_quotes_takes_little_cpu(server: Server) -> None:
    path = "/ws/v2/notification-service/notifications/users/ada"
    assert server.process is not None
    process = psutil.Process(server.process.pid)
    before = process.cpu_times().user
    for length in (30_000, 60_000):
        socket = await connect(server.ws_url + path, subprotocols=["herald.v1"])
        await socket.send("[" * 129 + '"' + '\\"' * length)
        assert await closed(socket) == (1009 if 2 * length > MAX_FRAME_LENGTH else 4505)
    # The longer frame once took 17 s.
    assert process.cpu_times().user - before < 2
