"""A load of events in Kafka with known recipients."""

import asyncio
import json
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from tests.support.kafka import Cluster

FEED: Final = "load"

_ROUTES: Final = """
profile = "load"
broker = "kafka"

[feeds.load]
access = "public"

[[routes]]
source = "{topic}"
users = ["to"]
as_type = "load"
envelope = "typed"
omit = ["to"]
inbox = {{ title = "Number {{n}}", message = "One of many" }}

[[routes]]
source = "{topic}"
feed = "load"
as_type = "load"
envelope = "flat"
omit = ["to"]
"""

# The interval between two bursts of a steady load, in seconds.
_BEAT: Final = 0.1


class Load:
    """Events numbered 0, 1, 2 and so on in their own topic, each for two of the users and for the public feed. Every
    second event has an id; the others are identified by their Kafka offset.

    All events for a user are in one partition, which guarantees their order.
    """

    def __init__(self, kafka: Cluster, topic: str, *, users: int = 20, partitions: int = 1) -> None:
        kafka.create_topic(topic, partitions)
        self.topic = topic
        self.users = [f"{topic}-user-{number}" for number in range(users)]
        self.expected: dict[str, list[int]] = {user: [] for user in self.users}
        self.published = 0
        self.times: dict[int, float] = {}  # publishing time of each event, by time.monotonic
        self.producing = asyncio.Lock()  # held while publishing
        self._kafka = kafka
        self._partitions = partitions
        self.is_ordered = partitions == 1

    def routes(self, directory: Path) -> str:
        """Return the path of a file for HERALD_ROUTES."""
        file = directory / "load.toml"
        file.write_text(_ROUTES.format(topic=self.topic))
        return str(file)

    async def publish(self, count: int) -> None:
        async with self.producing:
            await self._publish(count)

    async def _publish(self, count: int) -> None:
        bodies = defaultdict(list)
        self.times.update(dict.fromkeys(range(self.published, self.published + count), time.monotonic()))
        for n in range(self.published, self.published + count):
            partition = n % self._partitions
            circle = self.users[partition :: self._partitions]
            place = n // self._partitions
            users = [circle[place % len(circle)], circle[(place + 1) % len(circle)]]
            event = {"n": n, "to": users} | ({"event_id": f"{self.topic}-{n}"} if n % 2 else {})
            bodies[partition].append(json.dumps(event).encode())
            for user in users:
                self.expected[user].append(n)
        self.published += count
        for partition, several in bodies.items():
            await asyncio.to_thread(self._kafka.produce, self.topic, several, partition=partition)

    @asynccontextmanager
    async def steady(self, rate: int) -> AsyncIterator[None]:
        """Publish `rate` events per second until the end of the block, also while consumers are unavailable."""
        over = asyncio.Event()

        async def run() -> None:
            begun, before = time.monotonic(), self.published
            while not over.is_set():
                due = int((time.monotonic() - begun) * rate) - (self.published - before)
                await self.publish(due)
                await asyncio.sleep(_BEAT)

        running = asyncio.create_task(run())
        try:
            yield
        finally:
            over.set()
            await running


def same(found: Sequence[Any], expected: Sequence[Any], whose: str) -> None:
    """Assert that the lists are equal. The message shows only missing and additional items, because the lists are
    long."""
    lost, extra = Counter(expected) - Counter(found), Counter(found) - Counter(expected)
    assert found == expected, f"{whose}: lost {sorted(lost)}, too many {sorted(extra)}, else in another order"
