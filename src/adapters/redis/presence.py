"""Presence in Redis: how many sessions each user has on each node."""

import asyncio
from collections.abc import Mapping
from typing import Final

import structlog

from adapters.redis.command_types import RedisUnavailable
from adapters.redis.connections import Connections
from adapters.redis.subscriber import NODE_PREFIX
from application.ports.store import StoreUnavailable

log = structlog.get_logger(__name__)

# Seconds after the last report about a user until the user's counts expire.
EXPIRE_AFTER_S: Final = 24 * 3600

# A node is alive while it is subscribed to its own channel (see Subscriber). The subscription ends with its connection,
# so the sessions of a killed node stop counting immediately. KEYS[1] is the user; ARGV: this node, its count, the
# prefix of the nodes' channels, and the expiry in seconds.
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
    """Implements the port Presence with Redis: every node stores there how many sessions of each user it has."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def enter(self, user: str, count: int) -> int:
        try:
            return await self._report(user, count)
        except (RedisUnavailable, StoreUnavailable) as error:
            log.debug("presence_read_failed", error=str(error))
            return 0

    async def update(self, counts: Mapping[str, int]) -> bool:
        writes = (self._report(user, count) for user, count in counts.items())
        for result in await asyncio.gather(*writes, return_exceptions=True):
            if isinstance(result, RedisUnavailable | StoreUnavailable):
                log.debug("presence_write_failed", error=str(result))
                return False
            if isinstance(result, BaseException):
                raise result
        return True

    async def _report(self, user: str, count: int) -> int:
        """Stores the number of the user's sessions on this node (`count`), and returns the number on all other nodes
        together. Raises RedisUnavailable, and StoreUnavailable if the names of keys can't be determined."""
        here = self._connections
        key, nodes = await here.full_name(f"sessions:{user}"), await here.full_name(NODE_PREFIX)
        return int(await here.execute("EVAL", _ENTER, 1, key, here.node, count, nodes, EXPIRE_AFTER_S))
