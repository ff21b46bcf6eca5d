"""Small clients for tests, with a timeout on every operation."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import httpx
import jwt
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.support.server import SECRET, Server

PATIENCE = 10.0

__all__ = [
    "Stream",
    "closed",
    "connect",
    "every",
    "frame",
    "objects",
    "publish",
    "silent",
    "stream",
    "token",
    "until_http",
]


def token(user: str, *, key: str = SECRET, **claims: Any) -> str:
    now = int(time.time())
    return jwt.encode({"sub": user, "iat": now, "exp": now + 3600, **claims}, key, "HS256")


async def publish(server: Server, source: str, *payloads: Any, **fields: Any) -> list[str]:
    """Publish over HTTP. Returns the ids of the events."""
    headers = {"authorization": f"Bearer {fields.pop('token')}"} if "token" in fields else {}
    events = [{"source": source, "payload": payload, **fields} for payload in payloads]
    async with httpx.AsyncClient(base_url=server.url, timeout=30) as client:
        answer = await client.post("/api/v1/events", json=events, headers=headers)
    assert answer.status_code == 202, answer.text
    ids: list[str] = answer.json()["ids"]
    return ids


async def frame(socket: ClientConnection, seconds: float = PATIENCE) -> Any:
    """Return the next frame, decoded."""
    async with asyncio.timeout(seconds):
        return json.loads(await socket.recv())


async def objects(socket: ClientConnection, count: int, seconds: float = PATIENCE) -> list[Any]:
    """Return the next `count` objects of a herald.v1 socket. One frame may contain several."""
    found: list[Any] = []
    async with asyncio.timeout(seconds):
        while len(found) < count:
            found.extend(json.loads(line) for line in str(await socket.recv()).split("\n"))
    return found


async def every(socket: ClientConnection, seconds: float) -> list[str]:
    """Return all frames that arrive within this time, or until the socket is closed."""
    found: list[str] = []
    try:
        async with asyncio.timeout(seconds):
            while True:
                found.append(str(await socket.recv()))
    except (TimeoutError, ConnectionClosed):
        return found


async def silent(socket: ClientConnection, seconds: float = 0.4) -> None:
    """Assert that nothing arrives for a while."""
    assert await every(socket, seconds) == []


async def closed(socket: ClientConnection, seconds: float = PATIENCE) -> int:
    """Read until the server closes the socket. Returns the close code."""
    async with asyncio.timeout(seconds):
        with suppress(ConnectionClosed):
            while True:
                await socket.recv()
    assert socket.close_code not in (None, 1006), "the connection broke without a close frame"
    return int(socket.close_code)


async def never_reading(server: Server, path: str) -> asyncio.StreamWriter:
    """Connect a client that reads the head of the response and then stops reading."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=1024)
    writer.write(
        f"GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        if path.startswith("/ws")
        else f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
    )
    await reader.readuntil(b"\r\n\r\n")
    writer.transport.pause_reading()  # type: ignore[attr-defined]  # a socket's transport has it
    return writer


async def until_http(server: Server, path: str, condition: Callable[[Any], bool], seconds: float) -> Any:
    """Repeat a request until its JSON response fulfils the condition. Returns the response."""
    deadline = time.monotonic() + seconds
    async with httpx.AsyncClient(base_url=server.url, timeout=10) as client:
        while not condition(body := (await client.get(path)).json()):
            assert time.monotonic() < deadline, f"{path} still answers {body}"
            await asyncio.sleep(0.05)
    return body


class Stream:
    """The events of an event stream, as (id, decoded data)."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self._lines = response.aiter_lines()
        self.retry: int | None = None

    async def next(self, seconds: float = PATIENCE) -> tuple[str, Any]:
        """Return the next event. Raises StopAsyncIteration when the server ends the stream."""
        last_id, data = "", []
        async with asyncio.timeout(seconds):
            async for line in self._lines:
                name, _, value = line.partition(": ")
                if line == "" and data:
                    return last_id, json.loads("\n".join(data))
                if name == "id":
                    last_id = value
                elif name == "data":
                    data.append(value)
                elif name == "retry":
                    self.retry = int(value)
        raise StopAsyncIteration


@asynccontextmanager
async def stream(
    server: Server, query: str = "", *, path: str = "/events/stream", **headers: str
) -> AsyncIterator[Stream]:
    async with (
        httpx.AsyncClient(base_url=server.url, timeout=httpx.Timeout(60)) as client,
        client.stream("GET", f"{path}{query}", headers=headers) as response,
    ):
        yield Stream(response)
