"""Many sessions on one node: memory, latency, a broadcast, and a restart after which all of them resume at another."""

import asyncio
import json
import random
import resource
import socket
import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from typing import Final, NamedTuple

from benchmarks.clients import PlainSocket, Progress, socket_request
from benchmarks.nodes import Deployment, running_deployment, services
from benchmarks.pace import at_intervals
from benchmarks.postgres import connected
from benchmarks.report import Row, log, p50_p99
from benchmarks.servers import Server, second_listener
from domain.positions import cursor_text, tag_of
from domain.protocol.herald_v1 import SUBPROTOCOL
from domain.streams import INBOX
from entrypoints.file_descriptors import BACKLOG

# As many sessions as this, or as many as the limit of open files allows (see `_possible_sessions`).
SESSIONS: Final = 50_000
OTHER_FILES: Final = 200
FEW: Final = 1_000  # the sessions that the latency is compared with

# Each user of 1,000 gets one event a second, in requests of this many events.
EVENTS_PER_SECOND: Final = 1_000
TOGETHER: Final = 50
SECONDS: Final = 10
BROADCASTS: Final = 5

CONNECTING: Final = 100
RECIPIENTS: Final = 100  # of one event for all users
CLIENTS_PER_ADDRESS: Final = 20_000  # the kernel has 28,000 ports for each address of clients
TIMEOUT_S: Final = 300.0

STAMP: Final = b'"t":"'
NOTIFICATION: Final = b'{"kind":"notification"'
BROADCAST: Final = b'{"kind":"broadcast"'


class Arrivals(Progress):
    """What all clients of a node have received: the delays of notifications, the times of broadcasts, and positions
    that are missing or repeated."""

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.delays: list[float] = []
        self.broadcasts: list[float] = []
        self.wrong: list[str] = []


class UserSocket(PlainSocket):
    """A herald.v1 WebSocket of one user. `received` is the position of the latest notification."""

    def __init__(self, arrivals: Arrivals, user: str, request: bytes, position: int) -> None:
        super().__init__(arrivals, request)
        self.user = user
        self.received = position
        self._arrivals = arrivals

    def _count(self, data: bytes, start: int, end: int) -> None:
        now = time.perf_counter()
        if data.find(BROADCAST, start, end) >= 0:
            self._arrivals.broadcasts.append(now)
        at = data.find(NOTIFICATION, start, end)
        while at >= 0:
            first = data.index(b'"seq":', at) + 6
            seq = int(data[first : data.index(b",", first)])
            if seq != self.received + 1:
                self._arrivals.wrong.append(f"{self.user}: {seq} after {self.received}")
            self.received = seq
            stamp = data.find(STAMP, at, end) + len(STAMP)
            self._arrivals.delays.append(now - float(data[stamp : data.index(b'"', stamp)]))
            at = data.find(NOTIFICATION, first, end)


class Measured(NamedTuple):
    kilobytes: float  # of memory for each session
    few_p99: float  # in milliseconds
    many_p99: float
    broadcast: float  # from the first to the last, in seconds
    resume: float  # in seconds


async def sessions(rounds: int) -> list[Row]:
    count = min(SESSIONS, _possible_sessions())
    with services() as shared:
        runs = []
        for _ in range(rounds):
            async with running_deployment(shared, 2, serving=second_listener, HERALD_PROFILE="trading") as deployment:
                runs.append(await _Run(deployment, count).measured())
                log(f"  {runs[-1]}")
    memory, few, many, broadcast, resume = (list(column) for column in zip(*runs, strict=True))
    what, share = f"{count:,} herald.v1 sessions of as many users on one node:", count / SESSIONS
    p99 = f"{what} p99 of one event for each of 1,000 users a second, vs {FEW:,} sessions"
    return [
        Row(f"{what} memory for each", "KB", memory, None, "≤", 50, "value"),
        Row(p99, "ms", many, few, "≤", 4),
        Row(f"{what} a broadcast, from the first to the last", "s", broadcast, None, "≤", 0.8 * share, "value"),
        Row(f"{what} all resume at another node", "s", resume, None, "≤", 60 * share, "value"),
    ]


def _possible_sessions() -> int:
    """Returns the number of WebSockets that a node accepts with this machine's limit of open files: Herald keeps a part
    of them for HTTP connections."""
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1] - OTHER_FILES
    return files - min(files // 2, BACKLOG)


class _Run:
    def __init__(self, deployment: Deployment, count: int) -> None:
        self._deployment = deployment
        self._here, self._there = deployment.nodes
        self._arrivals = Arrivals(count)
        self._users = [f"u-{number}" for number in range(count)]
        self._clients: list[UserSocket] = []
        self._chance = random.Random(1)
        self._epoch = ""

    async def measured(self) -> Measured:
        async with connected(self._deployment.url) as connection:
            self._epoch = await connection.fetchval("SELECT value FROM store_state WHERE name = 'epoch'")
        async with AsyncExitStack() as stack:
            stack.callback(self._abort)
            few, many = self._users[:FEW], self._users[FEW:]
            await self._connect(self._here, few[:50])
            before = self._here.memory
            await self._connect(self._here, few[50:])
            few_p99 = await self._p99(few)
            await self._connect(self._here, many)
            many_p99 = await self._p99(self._users)
            kilobytes = (self._here.memory - before) / (len(self._users) - 50) / 1_000
            broadcast = statistics.median([await self._broadcast() for _ in range(BROADCASTS)])
            resume = await self._restart()
            await self._account()
            return Measured(kilobytes, few_p99, many_p99, broadcast, resume)

    async def _p99(self, users: Sequence[str]) -> float:
        """Returns the 99th percentile of the delays of notifications for 1,000 of the users each second, in ms."""
        self._arrivals.delays.clear()
        sent = 0
        recipients: list[str] = []
        async for _ in at_intervals(SECONDS * EVENTS_PER_SECOND // TOGETHER, TOGETHER / EVENTS_PER_SECOND):
            if len(recipients) < TOGETHER:
                recipients = self._chance.sample(users, EVENTS_PER_SECOND)
            events = [{"source": "risk-events", "payload": self._payload(recipients.pop())} for _ in range(TOGETHER)]
            await self._here.post(json.dumps(events).encode())
            sent += TOGETHER
        await self._until(lambda: len(self._arrivals.delays) == sent)
        return p50_p99(self._arrivals.delays)[1]

    async def _broadcast(self) -> float:
        """Returns the seconds between the first and the last client that receives a broadcast."""
        self._arrivals.broadcasts.clear()
        await self._here.post(json.dumps({"source": "alert-events", "payload": {"n": 1}}).encode())
        await self._until(lambda: len(self._arrivals.broadcasts) == len(self._users))
        return self._arrivals.broadcasts[-1] - self._arrivals.broadcasts[0]

    async def _restart(self) -> float:
        """Stops the node, and publishes a notification for each user at the other one while no client is connected.
        Returns the seconds until all clients are connected there and have received it, without the publishing."""
        positions = {client.user: client.received for client in self._clients}
        began = time.perf_counter()
        await asyncio.to_thread(self._here.stop)
        self._abort()
        stopped = time.perf_counter() - began
        self._arrivals.delays.clear()
        chunks = [self._users[first : first + RECIPIENTS] for first in range(0, len(self._users), RECIPIENTS)]
        for users in chunks:
            await self._there.post(json.dumps({"source": "risk-events", "payload": self._payload(*users)}).encode())
        began = time.perf_counter()
        await self._connect(self._there, self._users, positions)
        await self._until(lambda: len(self._arrivals.delays) >= len(self._users))
        return stopped + time.perf_counter() - began

    async def _account(self) -> None:
        """Compares what each client has received with what is stored."""
        async with connected(self._deployment.url) as connection:
            stored = {row["user_id"]: row["last_seq"] for row in await connection.fetch("TABLE inboxes")}
        wrong = self._arrivals.wrong + [
            f"{client.user}: {client.received} of {stored[client.user]}"
            for client in self._clients
            if client.received != stored[client.user]
        ]
        if wrong:
            raise RuntimeError(f"{len(wrong)} notifications were lost or repeated: {wrong[:5]}")

    def _payload(self, *users: str) -> dict[str, object]:
        return {"t": f"{time.perf_counter():.6f}", "user_id": list(users), "severity": "high", "message": "x" * 100}

    async def _connect(self, node: Server, users: Sequence[str], positions: dict[str, int] | None = None) -> None:
        """Connects a client for each user, from several addresses. With `positions`, they resume there."""
        for first in range(0, len(users), CONNECTING):
            await asyncio.gather(
                *(self._connect_one(node, user, positions) for user in users[first : first + CONNECTING])
            )

    async def _connect_one(self, node: Server, user: str, positions: dict[str, int] | None) -> None:
        position = positions[user] if positions is not None else 0
        cursor = cursor_text(self._epoch, tag_of(user), [(INBOX, position)]) if positions is not None else "none"
        request = socket_request(f"/ws?user_id={user}&cursor={cursor}", SUBPROTOCOL)
        client = UserSocket(self._arrivals, user, request, position)
        sock = socket.socket()
        sock.setblocking(False)
        sock.bind((f"127.0.1.{len(self._clients) // CLIENTS_PER_ADDRESS + 1}", 0))
        self._clients.append(client)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(sock, ("127.0.0.1", node.socket_port))
        await loop.create_connection(lambda: client, sock=sock)
        await client.opened

    def _abort(self) -> None:
        for client in self._clients:
            client.transport.abort()
        self._clients.clear()

    async def _until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(TIMEOUT_S):
            while not condition():  # noqa: ASYNC110 - counts that grow with each frame
                await asyncio.sleep(0.01)
