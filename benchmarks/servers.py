"""Server processes: start, pin to one core, measure, stop."""

import asyncio
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, Final

import psutil

from tests.support.service import free_port

ROOT: Final = Path(__file__).resolve().parent.parent

# The server has one core to itself; clients and services share the other.
SERVER_CORE: Final = 0
CLIENT_CORE: Final = 1

# A path that responds with 200 when a server is ready.
READY: Final = "/health/ready"

START_TIMEOUT_S: Final = 30.0
STOP_TIMEOUT_S: Final = 15.0

Serving = AbstractAsyncContextManager["Server"]

# The maximum number of events in one request (a limit of Herald).
MAX_EVENTS_PER_REQUEST: Final = 500


def pin_to_client_core() -> None:
    """Pins this process and its children to the clients' core, and raises the limit of open files."""
    os.sched_setaffinity(0, {CLIENT_CORE})
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def processor_time(*pids: int) -> float:
    """Returns the seconds of CPU time of these processes so far, including all threads and the children that have
    ended."""
    ended = [psutil.Process(pid).cpu_times() for pid in pids]
    # The CPU clock of the process (clock_getcpuclockid(3)), because /proc has a resolution of 10 ms.
    return sum(
        time.clock_gettime((~pid) << 3 | 2) + times.children_user + times.children_system
        for pid, times in zip(pids, ended, strict=True)
    )


class Server:
    """A server on loopback that sends posted messages to all of its clients."""

    path = "/ws/notifications"
    publish_at = ""

    def __init__(self, process: subprocess.Popen[bytes], port: int) -> None:
        self.port = port
        self.socket_port = port  # where clients open WebSockets
        self._process = process

    @property
    def cpu(self) -> float:
        """The CPU time of all threads so far, in seconds."""
        return processor_time(self._process.pid)

    @property
    def memory(self) -> int:
        """The resident memory in bytes."""
        return psutil.Process(self._process.pid).memory_info().rss

    def bodies(self, texts: Sequence[str]) -> list[bytes]:
        """Returns the bodies of requests that send these messages to all clients."""
        raise NotImplementedError

    async def broadcast(self, bodies: Sequence[bytes]) -> None:
        """Posts the bodies. Returns when the server has responded; the clients may receive the messages earlier or
        later."""
        for body in bodies:
            await self.post(body)

    async def post(self, body: bytes) -> None:
        """Sends one of these bodies."""
        status, _ = await self.request("POST", self.publish_at, body)
        if not 200 <= status < 300:
            raise RuntimeError(f"POST {self.publish_at} failed with {status}")

    async def request(self, method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Length: {len(body)}"
            writer.write(f"{head}\r\nContent-Type: application/json\r\n\r\n".encode() + body)
            answer = await reader.read()
        finally:
            writer.close()
        return int(answer[9:12]), answer.partition(b"\r\n\r\n")[2]

    def reload(self) -> None:
        """Makes Herald read its routes files again."""
        self._process.send_signal(signal.SIGHUP)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.kill()


class ReferenceLoop(Server):
    publish_at = "/broadcast"

    def bodies(self, texts: Sequence[str]) -> list[bytes]:
        return [json.dumps(list(texts)).encode()]


class Herald(Server):
    publish_at = "/api/v1/events"

    def bodies(self, texts: Sequence[str]) -> list[bytes]:
        events = [f'{{"source":"trading_signals","payload":{text}}}' for text in texts]
        batches = [
            events[first : first + MAX_EVENTS_PER_REQUEST] for first in range(0, len(events), MAX_EVENTS_PER_REQUEST)
        ]
        return [f"[{','.join(batch)}]".encode() for batch in batches]


def herald(*, ready: str = READY, **environment: str) -> Serving:
    """Returns a Herald without rate limits. It stores everything in memory unless DATABASE_URL is given."""
    settings = {
        "HERALD_AUTH": "open",
        "DATABASE_URL": "memory:",
        "HERALD_REST_RATE": "0",
        "HERALD_CONNECT_RATE": "0",
        "HERALD_PROFILE": "signals",
        "HERALD_BROKER": "memory",
        "HERALD_HOST": "127.0.0.1",
        "HERALD_DRAIN_SECONDS": "1",
        "LOG_LEVEL": "WARNING",
    }
    port = free_port()
    command = [str(Path(sys.executable).parent / "herald"), "serve"]
    return _serving(Herald, port, command, settings | environment | {"HERALD_PORT": str(port)}, ready)


@asynccontextmanager
async def second_listener(**environment: str) -> AsyncIterator[Server]:
    """A Herald whose clients open WebSockets at the second listener."""
    port = free_port()
    async with herald(HERALD_SOCKET_PORT=str(port), **environment) as server:
        server.socket_port = port
        yield server


def reference_loop() -> Serving:
    port = free_port()
    return _serving(ReferenceLoop, port, [sys.executable, "-m", "benchmarks.reference_loop", str(port)], {}, "/docs")


def bare_loop(servers: str, topic: str) -> Serving:
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.bare_kafka", "send", servers, topic, str(port)]
    return _serving(Server, port, command, {}, "/")


@asynccontextmanager
async def _serving(
    kind: type[Server], port: int, command: Sequence[str], settings: Mapping[str, str], ready: str
) -> AsyncIterator[Server]:
    process = start_pinned(command, settings)
    server = kind(process, port)
    try:
        await _until_ready(server, process, ready)
        yield server
    finally:
        server.stop()


def start_pinned(command: Sequence[str], settings: Mapping[str, str], **options: Any) -> subprocess.Popen[bytes]:
    """Starts a process on the servers' core, without the settings of Herald in this environment."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("HERALD_") and name != "REDIS_URL"
    }
    environment |= {
        "PYTHONPATH": os.pathsep.join([os.environ.get("PYTHONPATH", ""), str(ROOT / "src")]).strip(os.pathsep)
    }
    process = subprocess.Popen(list(command), env=environment | settings, cwd=ROOT, **options)
    # It has no threads yet; later ones inherit the affinity.
    os.sched_setaffinity(process.pid, {SERVER_CORE})
    return process


async def _until_ready(server: Server, process: subprocess.Popen[bytes], path: str) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"the server exited at its start with {process.returncode}")
        try:
            status, _ = await server.request("GET", path)
        except (OSError, ValueError):
            status = 0
        if status == 200:
            return
        await asyncio.sleep(0.1)
    raise RuntimeError(f"the server was not ready within {START_TIMEOUT_S:g} s")
