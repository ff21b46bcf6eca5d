"""Under a steady load from Kafka, the database becomes unavailable, Herald is killed, or a node freezes. No event is
lost or duplicated, and health is correct throughout."""

import asyncio
import signal
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from adapters.sql.database import TIMEOUTS
from tests.support.accounting import everyone_saw, everything_kept
from tests.support.brake import BROADCASTS, COMMIT, INBOXES, NOTIFICATIONS, Brake
from tests.support.clients import until_http
from tests.support.kafka import RealKafka
from tests.support.load import FEED, Load
from tests.support.postgres import Postgres
from tests.support.server import Server
from tests.support.watchers import Follower, Plain, Watcher, alongside, connected

# Outage in seconds. A whole minute was tested manually; it only takes longer.
OUTAGE: Final = 6.0

# Seconds from the end of the outage until Herald is ready and has stored the backlog: its longest pause is 10 s.
RECOVERY: Final = 20.0

# Events per second.
RATE: Final = 100


def settings(kafka: RealKafka, url: str, load: Load, directory: Path) -> dict[str, str]:
    return {
        "KAFKA_BROKERS": kafka.servers,
        "DATABASE_URL": url,
        "HERALD_AUTH": "open",
        "HERALD_ROUTES": load.routes(directory),
        "HERALD_KAFKA_GROUP": load.topic,
        "HERALD_KAFKA_START": "earliest",
        "HERALD_REST_RATE": "0",
        "HERALD_DRAIN_SECONDS": "1",
    }


@pytest.fixture
def load(real_kafka: RealKafka) -> Load:
    return Load(real_kafka, f"load-{uuid.uuid4().hex}")


class Probe:
    """Polls the health of a server continuously, as an orchestrator does."""

    def __init__(self, server: Server) -> None:
        self.answers: list[tuple[float, float, int, int, bool]] = []  # asked, answered, live, ready, the store's check
        self._server = server

    async def run(self) -> None:
        async with httpx.AsyncClient(base_url=self._server.url, timeout=10) as client:
            while True:
                asked = time.monotonic()
                live, ready = await asyncio.gather(client.get("/health/live"), client.get("/health/ready"))
                store = ready.json()["checks"]["store"]
                assert store["ok"] or store["detail"]
                self.answers.append((asked, time.monotonic(), live.status_code, ready.status_code, store["ok"]))
                await asyncio.sleep(0.1)

    def check(self, down: float, up: float) -> None:
        """Assert that the reported health was correct while the database was down, from `down` to `up` (monotonic
        times)."""
        assert {live for _, _, live, _, _ in self.answers} == {200}
        meanwhile = [answer for answer in self.answers if down <= answer[0] and answer[1] < up]
        assert len(meanwhile) > 1
        assert {(ready, store) for *_, ready, store in meanwhile} == {(503, False)}
        readies = [(answered, ready) for _, answered, _, ready, _ in self.answers]
        before = [ready for answered, ready in readies if answered < up]
        assert [status for status, last in zip(before, [0, *before], strict=False) if status != last] == [200, 503]
        # Readiness may fail once more afterwards, when ingest learns that its last statement failed.
        assert readies[-1][1] == 200
        assert max(answered for answered, ready in readies if ready == 503) - up < RECOVERY


async def away(how: str, postgres: Postgres) -> tuple[float, float]:
    """Make the database unavailable for a while. Returns the start and the end of the outage."""
    down = time.monotonic()
    if how == "frozen":
        with postgres.frozen():
            # Longer than any timeout of a statement.
            await asyncio.sleep(TIMEOUTS.statement + 3)
            return down, time.monotonic()
    await asyncio.to_thread(postgres.stop if how == "stopped" else postgres.kill9)
    down = time.monotonic()
    try:
        await asyncio.sleep(OUTAGE if how == "stopped" else OUTAGE / 4)
    finally:
        up = time.monotonic()
        await asyncio.to_thread(postgres.start)
    return down, up


@pytest.mark.parametrize("how", ["stopped", "killed", "frozen"])
async def test_a_database_outage_under_load_loses_nothing(
    how: str,
    real_kafka: RealKafka,
    postgres: Postgres,
    postgres_url: str,
    load: Load,
    start_server: Any,
    tmp_path: Path,
) -> None:
    server: Server = start_server(settings(real_kafka, postgres_url, load, tmp_path), ("serve",))
    clients: list[Watcher] = [kind(server, user) for user in load.users[:3] for kind in (Plain, Follower)]
    async with connected(*clients):
        probe = Probe(server)
        async with alongside(probe.run()), load.steady(RATE):
            await asyncio.sleep(1)
            down, up = await away(how, postgres)
            for _ in range(2):
                await until_http(server, "/health/ready", lambda body: body["status"] == "ready", RECOVERY)
                await asyncio.sleep(1)
        probe.check(down, up)
        await everything_kept(server, load, postgres, postgres_url, RECOVERY)
        await everyone_saw(load, *clients)
    # Not even clients that can resume were disconnected.
    assert [client.connections for client in clients if isinstance(client, Follower)] == [1, 1, 1]


async def test_herald_killed_during_a_batch_loses_nothing(
    real_kafka: RealKafka, postgres: Postgres, postgres_url: str, load: Load, start_server: Any, tmp_path: Path
) -> None:
    """Ten kills: two at each of the locks, and two between publishing and acknowledging."""
    server: Server = start_server(settings(real_kafka, postgres_url, load, tmp_path), ("serve",))
    brake = Brake(postgres_url)
    await brake.fit()
    followers = [Follower(server, user) for user in load.users[6:9]]
    async with connected(*followers):
        async with load.steady(RATE):
            # By now each user has an inbox, since a lock needs an existing row.
            await until_seen(followers[0], len(load.users))
            for lock in [INBOXES, NOTIFICATIONS, BROADCASTS, COMMIT, None] * 2:
                for follower in followers:
                    follower.connected.clear()
                await kill(server, brake, lock, followers[0])
                # Otherwise Kafka would wait 6 s for the dead member each time.
                await real_kafka.expel(load.topic)
                await asyncio.to_thread(server.start, True)
                async with asyncio.timeout(20):
                    await asyncio.gather(*(follower.connected.wait() for follower in followers))
        await everything_kept(server, load, postgres, postgres_url)
        await everyone_saw(load, *followers)
    assert [follower.connections for follower in followers] == [11, 11, 11]


async def kill(server: Server, brake: Brake, lock: str | None, follower: Follower) -> None:
    if lock is None:
        await until_seen(follower, len(follower.seen[FEED]) + 1)
        server.kill()
        return
    async with brake.holding(lock):
        server.kill()


async def until_seen(client: Watcher, count: int, seconds: float = 20) -> None:
    async with asyncio.timeout(seconds):
        while len(client.seen[FEED]) < count:
            await asyncio.sleep(0.001)


async def test_a_frozen_node_blocks_no_other_and_causes_no_duplicates(
    real_kafka: RealKafka, postgres: Postgres, postgres_url: str, start_server: Any, tmp_path: Path
) -> None:
    """The node is frozen while it waits for a lock that another session holds, so that it holds the lock next, and for
    so long that Kafka reassigns its partitions."""
    load = Load(real_kafka, f"load-{uuid.uuid4().hex}", partitions=4)
    env = settings(real_kafka, postgres_url, load, tmp_path)
    frozen, other = start_server(env, ("serve",)), start_server(env, ("serve",))
    for server in (frozen, other):
        await until_http(server, "/health/ready", has_partitions(2), 30)
    # Users of each partition at each node.
    clients = [kind(node, user) for node in (frozen, other) for user in load.users[:4] for kind in (Plain, Follower)]
    there = [client for client in clients[8:] if isinstance(client, Follower)]
    async with connected(*clients):
        async with load.steady(RATE):
            await until_seen(there[0], 50)
            async with Brake(postgres_url).holding(BROADCASTS, 2):
                signal_to(frozen, signal.SIGSTOP)
            try:
                # Events of its own partitions, once the database has ended the transaction of the frozen node.
                await until_seen(there[0], len(there[0].seen[FEED]) + RATE, TIMEOUTS.idle_in_transaction + 6)
                # Events of all partitions, once Kafka has reassigned them.
                everything = load.published
                for client in there:
                    await until_seen(client, everything, 30)
            finally:
                signal_to(frozen, signal.SIGCONT)
            for server in (frozen, other):
                await until_http(server, "/health/ready", has_partitions(2), 30)
        for server in (frozen, other):
            await everything_kept(server, load, postgres, postgres_url)
        await everyone_saw(load, *clients)


def signal_to(server: Server, how: signal.Signals) -> None:
    assert server.process is not None
    server.process.send_signal(how)


def has_partitions(count: int) -> Callable[[Any], bool]:
    return lambda body: any(len(source["assigned"]) == count for source in body["sources"])
