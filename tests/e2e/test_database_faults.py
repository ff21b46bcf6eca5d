"""Under a steady load from Kafka, the database becomes unavailable or Herald is killed. No event is lost or duplicated,
and health is correct throughout."""

import asyncio
import time
import uuid
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from tests.support.accounting import everyone_saw, everything_kept
from tests.support.brake import BROADCASTS, COMMIT, INBOXES, NOTIFICATIONS, Brake
from tests.support.clients import until_http
from tests.support.kafka import RealKafka
from tests.support.load import FEED, Load
from tests.support.postgres import Postgres
from tests.support.reading import until
from tests.support.server import Server
from tests.support.watchers import Follower, Plain, Watcher, alongside, connected

# Each outage in seconds. A health check times out after 2 s, so a frozen database takes longer to be probed twice.
OUTAGES: Final = {"stopped": 1.5, "killed": 1.5, "frozen": 5.0}

# Seconds from the end of the outage until Herald is ready and has stored the backlog: its longest pause is 10 s.
RECOVERY: Final = 20.0

# Events per second.
RATE: Final = 50


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


async def outage(how: str, postgres: Postgres) -> tuple[float, float]:
    """Make the database unavailable for a while. Returns the start and the end of the outage."""
    if how == "frozen":
        down = time.monotonic()
        with postgres.frozen():
            await asyncio.sleep(OUTAGES[how])
            return down, time.monotonic()
    await asyncio.to_thread(postgres.stop if how == "stopped" else postgres.kill9)
    down = time.monotonic()
    try:
        await asyncio.sleep(OUTAGES[how])
    finally:
        up = time.monotonic()
        await asyncio.to_thread(postgres.start)
    return down, up


async def test_database_outages_under_load_lose_nothing(
    real_kafka: RealKafka, postgres: Postgres, postgres_url: str, load: Load, start_server: Any, tmp_path: Path
) -> None:
    """The database is stopped, killed and frozen in turn, and health is checked during each outage."""
    server: Server = start_server(settings(real_kafka, postgres_url, load, tmp_path), ("serve",))
    clients: list[Watcher] = [kind(server, user) for user in load.users[:3] for kind in (Plain, Follower)]
    async with connected(*clients):
        async with load.steady(RATE):
            for how in OUTAGES:
                probe = Probe(server)
                async with alongside(probe.run()):
                    await until(lambda probe=probe: probe.answers != [])
                    down, up = await outage(how, postgres)
                    for _ in range(2):
                        await until_http(server, "/health/ready", lambda body: body["status"] == "ready", RECOVERY)
                        await asyncio.sleep(0.5)
                probe.check(down, up)
        await everything_kept(server, load, postgres, postgres_url, RECOVERY)
        await everyone_saw(load, *clients)
    # Not even clients that can resume were disconnected.
    assert [client.connections for client in clients if isinstance(client, Follower)] == [1, 1, 1]


async def test_herald_killed_during_a_batch_loses_nothing(
    real_kafka: RealKafka, postgres: Postgres, postgres_url: str, load: Load, start_server: Any, tmp_path: Path
) -> None:
    """Five kills: one at each of the locks, and one between publishing and acknowledging."""
    server: Server = start_server(settings(real_kafka, postgres_url, load, tmp_path), ("serve",))
    brake = Brake(postgres_url)
    await brake.fit()
    followers = [Follower(server, user) for user in load.users[6:9]]
    async with connected(*followers):
        async with load.steady(RATE):
            # By now each user has an inbox, since a lock needs an existing row.
            await until_seen(followers[0], len(load.users))
            for lock in [INBOXES, NOTIFICATIONS, BROADCASTS, COMMIT, None]:
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
    assert [follower.connections for follower in followers] == [6, 6, 6]


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
