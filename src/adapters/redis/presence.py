"""Who is where, in Redis: for each user, how many sessions each node has."""

from collections.abc import Mapping
from typing import Final

import structlog
from redis.exceptions import RedisError

from adapters.redis.connections import Connections
from adapters.redis.link import NODE
from application.ports.store import StoreUnavailable

log = structlog.get_logger(__name__)

# Seconds after which a user of whom nothing was heard is forgotten.
FORGOTTEN_AFTER: Final = 24 * 3600

# A node lives as long as it is subscribed to its own channel (see link): that ends with its connection, so the sessions
# of one that was killed are gone at once. KEYS[1] is the user; ARGV: this node, its count, what channels of nodes begin
# with, and for how long to remember.
_ENTER: Final = """
if ARGV[2] == '0' then redis.call('HDEL', KEYS[1], ARGV[1]) else
    redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
    redis.call('EXPIRE', KEYS[1], ARGV[4])
end
local elsewhere = 0
local all = redis.call('HGETALL', KEYS[1])
for i = 1, #all, 2 do
    if all[i] ~= ARGV[1] then
        if redis.call('PUBSUB', 'NUMSUB', ARGV[3] .. all[i])[2] > 0 then
            elsewhere = elsewhere + all[i + 1]
        else
            redis.call('HDEL', KEYS[1], all[i])
        end
    end
end
return elsewhere
"""


class RedisPresence:
    """Implements Presence."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._enter = connections.sender.register_script(_ENTER)

    async def enter(self, user: str, count: int) -> int:
        here = self._connections
        if here.fault is not None:
            return 0
        try:
            key, nodes = await here.name(_key(user)), await here.name(NODE)
            return int(await self._enter(keys=[key], args=[here.node, count, nodes, FORGOTTEN_AFTER]))
        except (RedisError, OSError, StoreUnavailable) as fault:
            log.debug("sessions elsewhere not counted", fault=str(fault))
            return 0

    async def update(self, counts: Mapping[str, int]) -> None:
        here = self._connections
        if here.fault is not None:
            return
        try:
            pipeline = here.sender.pipeline(transaction=False)
            for user, count in counts.items():
                key = await here.name(_key(user))
                if count:
                    pipeline.hset(key, here.node, str(count))
                    pipeline.expire(key, FORGOTTEN_AFTER)
                else:
                    pipeline.hdel(key, here.node)
            await pipeline.execute()
        except (RedisError, OSError, StoreUnavailable) as fault:
            log.debug("sessions not counted", fault=str(fault))


def _key(user: str) -> str:
    return f"sessions:{user}"
