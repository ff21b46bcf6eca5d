"""The ports between nodes: implemented by Redis, or without it by the store alone."""

from collections.abc import AsyncIterator
from uuid import uuid4

from dishka import Provider, Scope, provide

from adapters.memory.backplane import MemoryBackplane
from adapters.memory.presence import MemoryPresence
from adapters.memory.throttle import MemoryThrottle
from adapters.redis.backplane import RedisBackplane
from adapters.redis.connections import Connections
from adapters.redis.presence import RedisPresence
from adapters.redis.settings import RedisSettings
from adapters.redis.throttle import RedisThrottle
from application.ports.backplane import Backplane
from application.ports.clock import Clock
from application.ports.presence import Presence
from application.ports.store import Store
from application.ports.throttle import Throttle
from entrypoints.settings.loader import Settings
from entrypoints.settings.sections import NodeSettings


class RedisNodes(Provider):
    """Nodes notify one another immediately, and share session counts and rate limits."""

    scope = Scope.APP

    backplane = provide(RedisBackplane, provides=Backplane)
    presence = provide(RedisPresence, provides=Presence)

    @provide
    async def connections(
        self, settings: RedisSettings, node: NodeSettings, store: Store
    ) -> AsyncIterator[Connections]:
        # Two processes may have the same name, and a restarted process must not be mistaken for its predecessor.
        connections = Connections(settings, store, f"{node.name}:{uuid4().hex}")
        yield connections
        await connections.close()

    @provide
    def throttle(self, connections: Connections, clock: Clock) -> Throttle:
        return RedisThrottle(connections, otherwise=MemoryThrottle(clock))


class SeparateNodes(Provider):
    """One node, or several nodes that read one another's entries from the store every few seconds."""

    scope = Scope.APP

    @provide
    def presence(self) -> Presence:
        return MemoryPresence()

    @provide
    def backplane(self) -> Backplane:
        return MemoryBackplane()

    @provide
    def throttle(self, clock: Clock) -> Throttle:
        return MemoryThrottle(clock)


def nodes(settings: Settings) -> Provider:
    """The implementation that REDIS_URL selects."""
    return RedisNodes() if settings.redis.url else SeparateNodes()
