"""The faults. After each of them, both nodes and the services they depend on are running again."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Final

from aiokafka import AIOKafkaConsumer

from tests.chaos.deployment import Deployment
from tests.support.brake import BROADCASTS, Brake
from tests.support.service import Service

Fault = Callable[[Deployment], Awaitable[None]]

# How long a killed process stays down.
DOWNTIME_S: Final = 3.0

# Other consumers joining the group during a rebalance storm, and how long each of them stays.
STORM_JOINS: Final = 8
STORM_MEMBERSHIP_S: Final = 1.0


async def nothing(deployment: Deployment) -> None:
    """No fault, for comparison."""
    await asyncio.sleep(DOWNTIME_S)


async def kill_a_node(deployment: Deployment) -> None:
    """Kill a node with SIGKILL and start it again."""
    deployment.nodes[0].kill()
    await asyncio.sleep(DOWNTIME_S)
    await deployment.start(deployment.nodes[0])


async def kill_redis(deployment: Deployment) -> None:
    """Kill Redis with SIGKILL and start it again, empty."""
    await _kill_and_restart(deployment.redis)


async def kill_postgres(deployment: Deployment) -> None:
    """Kill PostgreSQL with SIGKILL and start it again; it recovers from its log."""
    await _kill_and_restart(deployment.postgres)


async def kill_kafka(deployment: Deployment) -> None:
    """Kill Kafka with SIGKILL and start it again. Nothing is published meanwhile, because producers could lose it."""
    async with deployment.load.producing:
        await _kill_and_restart(deployment.kafka)


async def freeze_a_node(deployment: Deployment) -> None:
    """Stop a node with SIGSTOP until the other node has its partitions and has stored their events."""
    frozen, other = deployment.nodes
    async with deployment.frozen(frozen):
        await deployment.taken_over_by(other)


async def freeze_in_a_transaction(deployment: Deployment) -> None:
    """Stop a node with SIGSTOP while it waits for a lock, so that it holds the lock, in a transaction, while frozen.
    The other node can store nothing until PostgreSQL ends that transaction."""
    frozen, other = deployment.nodes
    async with AsyncExitStack() as thawed:
        async with Brake(deployment.url).holding(BROADCASTS, 2):
            await thawed.enter_async_context(deployment.frozen(frozen))
        await deployment.taken_over_by(other)


async def rebalance_storm(deployment: Deployment) -> None:
    """Let another consumer join and leave the consumer group repeatedly."""
    for _ in range(STORM_JOINS):
        consumer = AIOKafkaConsumer(
            deployment.load.topic,
            bootstrap_servers=deployment.kafka.servers,
            group_id=deployment.load.topic,
            enable_auto_commit=False,
        )
        await consumer.start()
        try:
            await asyncio.sleep(STORM_MEMBERSHIP_S)
        finally:
            await consumer.stop()


async def restart_both_in_turn(deployment: Deployment) -> None:
    """Rolling restart: stop each node with SIGTERM and start it again before the next."""
    for node in deployment.nodes:
        await deployment.stop(node)
        await deployment.start(node)


async def node_and_redis(deployment: Deployment) -> None:
    """Kill a node while Redis is down, so that its clients move to a node without a backplane."""
    await asyncio.gather(_kill_and_restart(deployment.redis), kill_a_node(deployment))


async def node_and_postgres(deployment: Deployment) -> None:
    """Kill PostgreSQL while a node is frozen."""
    await asyncio.gather(freeze_a_node(deployment), _kill_and_restart(deployment.postgres))


async def kafka_and_redis(deployment: Deployment) -> None:
    """Kill Kafka and Redis."""
    await asyncio.gather(kill_kafka(deployment), _kill_and_restart(deployment.redis))


async def postgres_and_kafka(deployment: Deployment) -> None:
    """Kill PostgreSQL and Kafka."""
    await asyncio.gather(kill_kafka(deployment), _kill_and_restart(deployment.postgres))


async def restart_in_a_storm(deployment: Deployment) -> None:
    """Rolling restart during a rebalance storm."""
    await asyncio.gather(rebalance_storm(deployment), restart_both_in_turn(deployment))


async def _kill_and_restart(service: Service) -> None:
    await asyncio.to_thread(service.kill9)
    try:
        await asyncio.sleep(DOWNTIME_S)
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
