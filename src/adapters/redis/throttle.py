"""Rate limits that apply to all nodes together: token buckets in Redis."""

from typing import Final

from adapters.redis.command_types import RedisUnavailable
from adapters.redis.connections import Connections
from application.ports.store import StoreUnavailable
from application.ports.throttle import Rate, Throttle

# A bucket is stored as the time at which it is full again, in microseconds. A full bucket equals a missing one, so its
# key expires. A cost above the burst requires a full bucket, and later calls wait until the excess is refilled.
_TAKE: Final = """
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local token, burst, cost = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local full_at = math.max(tonumber(redis.call('GET', KEYS[1]) or now), now)
local missing = math.min(cost, burst) * token - (burst * token - (full_at - now))
if missing > 1 then return math.ceil(missing) end
full_at = full_at + cost * token
redis.call('SET', KEYS[1], string.format('%.0f', full_at), 'PX', math.ceil((full_at - now) / 1000) + 1)
return 0
"""


class RedisThrottle:
    """Implements the port Throttle with token buckets in Redis, so that a rate limits the requests to all nodes
    together. The clock of Redis is used. While Redis is unavailable, `otherwise` limits the requests to this node."""

    def __init__(self, connections: Connections, otherwise: Throttle) -> None:
        self._connections = connections
        self._otherwise = otherwise

    async def take(self, key: str, rate: Rate, cost: int = 1) -> float:
        try:
            name = await self._connections.full_name(f"rate:{key}")
            wait = await self._connections.execute(
                "EVAL", _TAKE, 1, name, 1_000_000 / rate.per_second, rate.burst, cost
            )
            return int(wait) / 1_000_000
        except (RedisUnavailable, StoreUnavailable):
            return await self._otherwise.take(key, rate, cost)
