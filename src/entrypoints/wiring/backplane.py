"""The ports between nodes: implemented by Redis, or without it by the store alone."""

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
    if not settings.redis.url:
        return SeparateNodes()
    # Imported here: most processes run without Redis, and importing its client takes a while.
    from entrypoints.wiring.redis_nodes import RedisNodes

    return RedisNodes()
