"""Creates and closes clients of aiokafka."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient

from adapters.kafka.timing import Timing

# Timeout in seconds for closing the sockets of a consumer whose `stop` is late, and again for the end of that `stop`.
# Neither waits for a broker.
CLOSE_TIMEOUT_S: Final = 1.0


@asynccontextmanager
async def administration(options: dict[str, Any]) -> AsyncIterator[AIOKafkaAdminClient]:
    """Yields a client for reading metadata of the cluster and its groups. Raises KafkaError if no broker answers."""
    admin = AIOKafkaAdminClient(**options)
    try:
        await admin.start()
        yield admin
    finally:
        await admin.close()


def new_consumer(options: dict[str, Any], group: str | None, timing: Timing) -> AIOKafkaConsumer:
    """Returns a consumer without automatic commits. With `group` None, it can read metadata and offsets, but cannot
    join a group.

    If the committed offset is no longer in the log, the consumer reads from the beginning of the log: duplicates are
    better than losses.
    """
    return AIOKafkaConsumer(
        **options,
        group_id=group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
        metadata_max_age_ms=_milliseconds(timing.metadata_age),
        session_timeout_ms=_milliseconds(timing.session),
        # Two consecutive heartbeats may be lost.
        heartbeat_interval_ms=_milliseconds(timing.session / 3),
        rebalance_timeout_ms=_milliseconds(timing.rejoin_by),
        max_poll_interval_ms=_milliseconds(timing.max_poll_interval),
    )


async def discard(consumer: AIOKafkaConsumer, within: float) -> None:
    """Stops a consumer in any state, even if its start has failed. Raises only CancelledError.

    Waits at most `within` seconds for a regular stop. If that is not enough, closes the connections, which takes at
    most 2 s more. If the caller is cancelled, the consumer is stopped nevertheless before CancelledError is raised, so
    that no task or socket leaks.
    """
    ending = asyncio.ensure_future(_end(consumer, within))
    try:
        await asyncio.shield(ending)
    except asyncio.CancelledError:
        await ending
        raise


async def _end(consumer: AIOKafkaConsumer, within: float) -> None:
    """Stops the consumer. Closes its connections if that takes longer than `within` seconds.

    aiokafka's `stop` waits for the broker's response to the request to leave the group, at worst until that request
    times out. Cancelling `stop` would leak tasks and sockets, and calling it again is a no-op. It ends once the
    connections are closed. aiokafka has no public method for closing them, so a private one is used.
    """
    stopping = asyncio.ensure_future(consumer.stop())
    _, late = await asyncio.wait({stopping}, timeout=within)
    if late:
        await asyncio.wait({asyncio.ensure_future(consumer._client.close())}, timeout=CLOSE_TIMEOUT_S)
        await asyncio.wait({stopping}, timeout=CLOSE_TIMEOUT_S)
    stopping.cancel()
    await asyncio.gather(stopping, return_exceptions=True)


def _milliseconds(seconds: float) -> int:
    return int(seconds * 1000)
