"""Request bodies: the caller is authorized before they are read, and the memory for unfinished bodies is limited (item
38)."""

import asyncio
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from adapters.http.errors.problem_catalogue import KINDS
from adapters.http.request_bodies import SMALL_BODY_BYTES, BodyLimits, BodyTooSlow, LimitBodies, TooManyBodies
from tests.e2e.conftest import StartServer
from tests.support.clients import token
from tests.support.server import SECRET, Server

SERVE = {"DATABASE_URL": "memory:", "HERALD_BROKER": "memory"}
PATIENCE = 20.0
MIB = 1024 * 1024


def head(method: str, path: str, length: int, more: str = "") -> bytes:
    return (
        f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Content-Length: {length}\r\n{more}\r\n"
    ).encode()


@contextmanager
def connections(server: Server, count: int) -> Iterator[list[socket.socket]]:
    opened = [socket.create_connection(("127.0.0.1", server.port), PATIENCE) for _ in range(count)]
    try:
        yield opened
    finally:
        for one in opened:
            one.close()


def resident_mib(server: Server) -> float:
    assert server.process is not None
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(re.findall(r"VmRSS:\s+(\d+) kB", status)[0]) / 1024


@pytest.mark.parametrize(
    ("method", "path", "claims", "status"),
    [
        ("PUT", "/api/v2/preferences", None, b"401"),
        ("PATCH", "/api/v2/preferences", None, b"401"),
        ("PUT", "/api/v2/notifications/mark-all-read", None, b"401"),
        ("POST", "/api/v1/events", None, b"401"),
        ("POST", "/api/v1/events", {}, b"403"),
        ("POST", "/api/v1/dead-letters/replay", {}, b"403"),
    ],
)
def test_unauthorized_requests_are_refused_before_the_body(
    server: Server, method: str, path: str, claims: dict[str, Any] | None, status: bytes
) -> None:
    shown = "" if claims is None else f"Authorization: Bearer {token('ada', **claims)}\r\n"
    with connections(server, 1) as (client,):
        # No byte of the body is sent, and the response arrives anyway.
        client.sendall(head(method, path, 1000, shown))
        assert client.recv(4096).split()[1] == status


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    server = Server({**SERVE, "HERALD_JWT_SECRET": SECRET, "HERALD_REST_RATE": "0.2"}, ("serve",)).start()
    yield server
    server.kill()


def test_the_rate_limit_applies_before_the_body(server: Server) -> None:
    shown = f"Authorization: Bearer {token('eager')}\r\n"
    with httpx.Client(base_url=server.url, headers={"authorization": f"Bearer {token('eager')}"}) as client:
        while client.get("/api/v2/preferences").status_code != 429:
            pass
    with connections(server, 1) as (client,):
        client.sendall(head("PUT", "/api/v2/preferences", 1000, shown))
        assert client.recv(4096).split()[1] == b"429"


def test_unfinished_bodies_use_little_memory(start_server: StartServer) -> None:
    # In open mode, the parameter `user_id` is trusted.
    server = start_server({**SERVE, "HERALD_AUTH": "open"}, ("serve",))
    before = resident_mib(server)
    with connections(server, 40) as clients:
        for client in clients:
            client.sendall(head("PUT", "/api/v2/preferences?user_id=ada", SMALL_BODY_BYTES))
            client.sendall(b" " * (SMALL_BODY_BYTES - 1))
        with httpx.Client(base_url=server.url, timeout=PATIENCE) as watcher:
            for _ in range(5):
                assert watcher.get("/health/live").status_code == 200
        # It was 503 MB when any body was read up to 8 MB. 40 bodies of 512 KB are 20 MB.
        assert resident_mib(server) - before < 120
        # A body that is too large is refused by its Content-Length.
        with connections(server, 1) as (large,):
            large.sendall(head("PUT", "/api/v2/preferences?user_id=ada", 8 * MIB) + b" ")
            large.shutdown(socket.SHUT_WR)
            assert large.recv(4096).split()[1] == b"413"


def test_bodies_of_publishers_share_one_memory_budget(start_server: StartServer) -> None:
    server = start_server({**SERVE, "HERALD_AUTH": "open"}, ("serve",))
    before = resident_mib(server)
    refused = 0
    with connections(server, 30) as clients:
        for client in clients:
            client.settimeout(PATIENCE)
            try:
                client.sendall(head("POST", "/api/v1/events", 8 * MIB) + b" " * (8 * MIB - 1))
            except OSError:
                refused += 1
        assert resident_mib(server) - before < 2 * BodyLimits().total_bytes / MIB
        with httpx.Client(base_url=server.url, timeout=PATIENCE) as watcher:
            assert watcher.get("/health/live").status_code == 200
            # The refused requests have released their share.
            answers = watcher.get("/metrics", headers={"accept": "text/plain"}).text
    assert 'status="503"' in answers or refused


class Sent:
    """The `receive` of an ASGI server, which delivers these pieces of a body."""

    def __init__(self, *pieces: bytes, finished: bool = False) -> None:
        self._pieces = list(pieces)
        self._finished = finished

    async def receive(self) -> Any:
        if not self._pieces and not self._finished:
            await asyncio.Event().wait()
        body = self._pieces.pop(0) if self._pieces else b""
        return {"type": "http.request", "body": body, "more_body": bool(self._pieces) or not self._finished}


async def _read_all(_: Any, receive: Any, __: Any) -> None:
    while (await receive())["more_body"]:
        pass


async def test_a_body_that_does_not_end_times_out() -> None:
    limited = LimitBodies(BodyLimits(seconds=0.05))(_read_all)
    with pytest.raises(BodyTooSlow):
        await limited({"type": "http"}, Sent(b"a", b"b").receive, None)
    await limited({"type": "http"}, Sent(b"a", finished=True).receive, None)
    assert KINDS["body_timeout"].status == BodyTooSlow.status_code
    assert f"{BodyLimits().seconds:g} s" in KINDS["body_timeout"].meaning


async def test_the_memory_budget_is_released_after_each_request() -> None:
    limited = LimitBodies(BodyLimits(total_bytes=1000))(_read_all)
    scope: Any = {"type": "http"}
    send: Any = None
    for _ in range(5):
        await limited(scope, Sent(b"a" * 900, finished=True).receive, send)
        with pytest.raises(TooManyBodies):
            await limited(scope, Sent(b"a" * 600, b"a" * 600).receive, send)
        # Many small pieces cost more memory than their bytes.
        with pytest.raises(TooManyBodies):
            await limited(scope, Sent(*[b"a"] * 20).receive, send)
