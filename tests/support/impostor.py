"""A server that behaves as Herald never or rarely does, to test clients."""

import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any, TypeAlias

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol


class Visit:
    """One connection of a client, as seen by the server."""

    def __init__(self, socket: ServerConnection) -> None:
        assert socket.request is not None
        self.socket = socket
        self.path = socket.request.path
        self.headers = socket.request.headers

    async def heard(self) -> Any:
        return json.loads(await self.socket.recv())

    async def say(self, *objects: Any) -> None:
        """Send the objects in one frame."""
        await self.socket.send("\n".join(json.dumps(one) for one in objects))

    async def greet(self, **fields: Any) -> Any:
        """Receive the resume frame, if the client sends one, and send hello. Returns what was received."""
        resume = None if "cursor=" in self.path else (await self.heard())["resume"]
        await self.say(hello(**{"resumed": bool(resume), **fields}))
        return resume

    async def until_left(self) -> None:
        try:
            while True:
                await self.socket.recv()
        except ConnectionClosed:
            pass


Scene: TypeAlias = Callable[[Visit], Awaitable[None]] | Response


class Impostor:
    """Plays one scene per connection; further connections get the last scene. A Response refuses the handshake.
    `visits` are the accepted connections, `came` the connect times of all clients (monotonic)."""

    def __init__(self, *scenes: Scene) -> None:
        self.visits: list[Visit] = []
        self.came: list[float] = []
        self.url = ""
        self._scenes = scenes
        self._played: dict[ServerConnection, Scene] = {}

    async def admit(self, socket: ServerConnection, request: Request) -> Response | None:
        self.came.append(time.monotonic())
        scene = self._played[socket] = self._scenes[min(len(self.came), len(self._scenes)) - 1]
        return scene if isinstance(scene, Response) else None

    async def play(self, socket: ServerConnection) -> None:
        scene = self._played[socket]
        assert not isinstance(scene, Response)
        visit = Visit(socket)
        self.visits.append(visit)
        try:
            await scene(visit)
        except ConnectionClosed:
            return


@asynccontextmanager
async def playing(*scenes: Scene, speaks: bool = True) -> AsyncIterator[Impostor]:
    impostor = Impostor(*scenes)
    protocols = [Subprotocol("herald.v1")] if speaks else None
    server: Server
    async with serve(
        impostor.play,
        "127.0.0.1",
        0,
        process_request=impostor.admit,
        subprotocols=protocols,
        close_timeout=0.5,
        ping_interval=None,
    ) as server:
        impostor.url = f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"
        yield impostor


def refusal(status: int, body: Any = None, **headers: str) -> Response:
    content = json.dumps(body).encode() if body is not None else b""
    given = Headers({name.replace("_", "-"): value for name, value in headers.items()})
    given["content-length"] = str(len(content))
    return Response(status, HTTPStatus(status).phrase, given, content)


def hello(**fields: Any) -> dict[str, Any]:
    return {
        "kind": "hello",
        "session": "s",
        "epoch": "e",
        "positions": {"inbox": 0},
        "cursor": "c0",
        "heartbeat": 30,
        "resumed": False,
        "gap": [],
        **fields,
    }


def broadcast(seq: int, stream: str = "news", **fields: Any) -> dict[str, Any]:
    event = {"event_id": f"e{seq}", "type": "t", "time": "2026-03-01T12:00:00.000Z", "data": {"n": seq}}
    return {"kind": "broadcast", "stream": stream, "seq": seq, "id": f"{stream}-{seq}", **event, **fields}


def read(seq: int, changed: int) -> dict[str, Any]:
    return {"kind": "read", "stream": "inbox", "seq": seq, "changed": changed, "id": f"inbox-{seq}", "unread": 0}
