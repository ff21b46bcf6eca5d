"""Rate limits over real connections."""

import asyncio
from collections.abc import Iterator

import httpx
import pytest
from websockets.exceptions import InvalidStatus

from tests.support.clients import connect, token
from tests.support.server import SECRET, Server

ENV = {
    "DATABASE_URL": "memory:",
    "HERALD_AUTH": "jwt",
    "HERALD_BROKER": "memory",
    "HERALD_JWT_SECRET": SECRET,
    "HERALD_CONNECT_RATE": "0.2",
    "HERALD_PUBLISH_RATE": "1",
}


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    server = Server(ENV, ("serve",)).start(ready=True)
    yield server
    server.kill()
    print(server.log[-20_000:])


async def test_too_many_connects_are_refused_with_429_before_the_upgrade(server: Server) -> None:
    ada, bob = ({"authorization": f"Bearer {token(user)}"} for user in ("ada", "bob"))
    address = server.ws_url + "/ws/notifications"
    # The burst is ten times the rate: two.
    async with connect(address, additional_headers=ada), httpx.AsyncClient(base_url=server.url, timeout=10) as client:
        async with client.stream("GET", "/events/stream", headers=ada) as response:
            assert response.status_code == 200
        with pytest.raises(InvalidStatus) as refused:
            async with connect(address, additional_headers=ada):
                pass
        answer = refused.value.response
        assert answer.status_code == 429
        assert answer.headers["content-type"] == "application/problem+json"
        assert b'"code":"too_many_requests"' in (answer.body or b"")
        assert 1 <= int(answer.headers["retry-after"]) <= 5
        stream = await client.get("/events/stream", headers=ada)
        assert (stream.status_code, stream.json()["code"]) == (429, "too_many_requests")
        assert stream.headers["retry-after"]

        # Other users and anonymous clients are not affected.
        async with connect(address, additional_headers=bob):
            pass
        for _ in range(5):
            async with connect(address):
                pass

        # A token in the first frame comes after the HTTP response, so the refusal is a close code, on every endpoint.
        for late in (server.ws_url + "/ws?user_id=ada", address):
            async with connect(late, subprotocols=["herald.v1"]) as socket:
                await socket.send(f'{{"auth": "{token("ada")}"}}')
                await asyncio.wait_for(socket.wait_closed(), 10)
                assert socket.close_code == 1013


async def test_the_publish_rate_counts_events(server: Server) -> None:
    publisher = {"authorization": f"Bearer {token('shop', scope='events:publish')}"}
    event = {"source": "trading_signals", "payload": 1}
    async with httpx.AsyncClient(base_url=server.url, timeout=30, headers=publisher) as client:
        # At any rate, one list of the maximum length is accepted.
        assert (await client.post("/api/v1/events", json=[event] * 500)).status_code == 202
        refused = await client.post("/api/v1/events", json=[event] * 5)
        assert (refused.status_code, refused.json()["code"]) == (429, "too_many_requests")
        assert 4 <= int(refused.headers["retry-after"]) <= 5
