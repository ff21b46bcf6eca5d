"""Provides the ports that connect nodes, implemented by Redis."""

from collections.abc import AsyncIterator
from uuid import uuid4

from dishka import Provider, Scope, provide

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
from entrypoints.settings.entrypoint_settings import NodeSettings


class RedisNodes(Provider):
    """Provides backplane, presence and throttle, implemented by Redis: nodes receive each other's entries immediately,
    and count sessions and rate limits together."""

    scope = Scope.APP

    backplane = provide(RedisBackplane, provides=Backplane)
    presence = provide(RedisPresence, provides=Presence)

    @provide
    async def connections(
        self, settings: RedisSettings, node: NodeSettings, store: Store
    ) -> AsyncIterator[Connections]:
        # Each process has a unique id: two processes may have the same name, and a restarted process has the name of
        # its predecessor.
        connections = Connections(settings, store, f"{node.name}:{uuid4().hex}")
        yield connections
        await connections.close()

    @provide
    def throttle(self, connections: Connections, clock: Clock) -> Throttle:
        return RedisThrottle(connections, otherwise=MemoryThrottle(clock))
