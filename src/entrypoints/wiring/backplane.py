"""Provides the ports for communication between nodes, implemented by Redis or, without Redis, in memory."""

from dishka import Provider, Scope, provide

from adapters.memory.backplane import MemoryBackplane
from adapters.memory.presence import MemoryPresence
from adapters.memory.throttle import MemoryThrottle
from application.ports.backplane import Backplane
from application.ports.clock import Clock
from application.ports.presence import Presence
from application.ports.throttle import Throttle
from entrypoints.settings.loader import Settings


class SeparateNodes(Provider):
    """The ports without Redis: for a single node, or for several nodes that find the entries of other nodes only by
    reading the database every few seconds. Rate limits and numbers of sessions are counted by each node separately."""

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
    """Returns the provider with Redis if REDIS_URL is set, otherwise the one without."""
    if not settings.redis.url:
        return SeparateNodes()
    # Imported here, because importing the client of Redis takes a while and is not needed without Redis.
    from entrypoints.wiring.redis_nodes import RedisNodes

    return RedisNodes()
