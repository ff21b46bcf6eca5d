"""What joins the nodes: Redis, or nothing but the store. One of the two stands behind all the ports between nodes."""

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


class Joined(Provider):
    """Nodes that hear one another at once, and count together."""

    scope = Scope.APP

    backplane = provide(RedisBackplane, provides=Backplane)
    presence = provide(RedisPresence, provides=Presence)

    def __init__(self, url: str) -> None:
        super().__init__()
        self._url = url

    @provide
    async def connections(self, settings: Settings, store: Store) -> AsyncIterator[Connections]:
        # Two processes may have one name, and a restarted one must not be taken for the one before.
        node = f"{settings.node}:{uuid4().hex}"
        redis = RedisSettings(self._url, settings.redis_prefix, settings.redis_cafile)
        connections = Connections(redis, store, node)
        yield connections
        await connections.close()

    @provide
    def throttle(self, connections: Connections, clock: Clock) -> Throttle:
        return RedisThrottle(connections, otherwise=MemoryThrottle(clock))


class Alone(Provider):
    """One node; or several that find in the store, every few seconds, what the others did."""

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
    """What REDIS_URL asks for."""
    return Joined(settings.redis_url) if settings.redis_url else Alone()
