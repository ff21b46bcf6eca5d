"""What is done to a site. Each leaves both nodes, and what they depend on, running again."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Final

from aiokafka import AIOKafkaConsumer

from adapters.sql.database import IDLE_IN_TRANSACTION
from tests.chaos.site import Site
from tests.support.brake import BROADCASTS, Brake
from tests.support.service import Service

Fault = Callable[[Site], Awaitable[None]]

# Seconds that something stays dead.
AWAY: Final = 3.0

# Seconds after which Kafka has given a frozen node's share to the other, and PostgreSQL has ended its transaction.
FROZEN: Final = 6 + IDLE_IN_TRANSACTION

# How often a stranger joins the consumer group and leaves it, and for how many seconds.
JOINS: Final = 8
JOINED: Final = 1.0


async def nothing(site: Site) -> None:
    """For comparison."""
    await asyncio.sleep(AWAY)


async def kill_a_node(site: Site) -> None:
    """kill -9 of a node, which is started again."""
    site.nodes[0].kill()
    await asyncio.sleep(AWAY)
    await site.start(site.nodes[0])


async def kill_redis(site: Site) -> None:
    """kill -9 of Redis, which comes back empty."""
    await _killed(site.redis)


async def kill_postgres(site: Site) -> None:
    """kill -9 of PostgreSQL, which recovers from its log."""
    await _killed(site.postgres)


async def kill_kafka(site: Site) -> None:
    """kill -9 of Kafka. Nothing is published meanwhile: what becomes of that is between it and its producers."""
    async with site.load.producing:
        await _killed(site.kafka)


async def freeze_a_node(site: Site) -> None:
    """SIGSTOP of a node, until the other has its share."""
    async with site.frozen(site.nodes[0]):
        await asyncio.sleep(FROZEN)


async def freeze_in_a_transaction(site: Site) -> None:
    """SIGSTOP of a node that waits for a lock, so that it has it when it is frozen, in mid-transaction."""
    async with AsyncExitStack() as thawed:
        async with Brake(site.url).holding(BROADCASTS, 2):
            await thawed.enter_async_context(site.frozen(site.nodes[0]))
        await asyncio.sleep(FROZEN)


async def rebalance_storm(site: Site) -> None:
    """A stranger joins the consumer group and leaves it, again and again."""
    for _ in range(JOINS):
        stranger = AIOKafkaConsumer(
            site.load.topic,
            bootstrap_servers=site.kafka.servers,
            group_id=site.load.topic,
            enable_auto_commit=False,
        )
        await stranger.start()
        try:
            await asyncio.sleep(JOINED)
        finally:
            await stranger.stop()


async def restart_both_in_turn(site: Site) -> None:
    """A rolling restart: each node is told to leave, ends, and is started again before the next."""
    for node in site.nodes:
        await site.stop(node)
        await site.start(node)


async def node_and_redis(site: Site) -> None:
    """kill -9 of a node while Redis is dead, so that its clients move to one that hears nothing."""
    await asyncio.gather(_killed(site.redis), kill_a_node(site))


async def node_and_postgres(site: Site) -> None:
    """kill -9 of PostgreSQL while a node is frozen."""
    await asyncio.gather(freeze_a_node(site), _killed(site.postgres))


async def kafka_and_redis(site: Site) -> None:
    """kill -9 of both."""
    await asyncio.gather(kill_kafka(site), _killed(site.redis))


async def postgres_and_kafka(site: Site) -> None:
    """kill -9 of both."""
    await asyncio.gather(kill_kafka(site), _killed(site.postgres))


async def restart_in_a_storm(site: Site) -> None:
    """A rolling restart while strangers come and go."""
    await asyncio.gather(rebalance_storm(site), restart_both_in_turn(site))


async def _killed(service: Service) -> None:
    await asyncio.to_thread(service.kill9)
    try:
        await asyncio.sleep(AWAY)
    finally:
        await asyncio.to_thread(service.start)


FAULTS: Final[dict[str, Fault]] = {
    fault.__name__.replace("_", "-"): fault
    for fault in (
        nothing,
        kill_a_node,
        kill_redis,
        kill_postgres,
        kill_kafka,
        freeze_a_node,
        freeze_in_a_transaction,
        rebalance_storm,
        restart_both_in_turn,
        node_and_redis,
        node_and_postgres,
        kafka_and_redis,
        postgres_and_kafka,
        restart_in_a_storm,
    )
}
