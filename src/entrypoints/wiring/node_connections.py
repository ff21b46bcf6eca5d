"""Provides the ports that connect nodes: backplane, presence and throttle, implemented by Redis or in memory."""

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
    """Provides backplane, presence and throttle in memory, for use without Redis.

    Suits a single node. If there are several, each counts sessions and rate limits alone, and finds the entries that
    other nodes have stored only in the database, some seconds later.
    """

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
    """Returns RedisNodes if REDIS_URL is set, otherwise SeparateNodes."""
    if not settings.redis.url:
        return SeparateNodes()
    # Imported here, because importing the client of Redis takes a while and is not needed without Redis.
    from entrypoints.wiring.redis_nodes import RedisNodes

    return RedisNodes()
