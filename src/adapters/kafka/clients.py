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
    """Yields a connected client for reading metadata of the cluster and of its consumer groups; closes the client
    afterwards. Raises KafkaError if no broker answers."""
    admin = AIOKafkaAdminClient(**options)
    try:
        await admin.start()
        yield admin
    finally:
        await admin.close()


def new_consumer(options: dict[str, Any], group: str | None, timing: Timing) -> AIOKafkaConsumer:
    """Returns a consumer that does not commit automatically; the caller starts it. With `group` None, the consumer
    belongs to no group, and can only read metadata and offsets.

    If a committed offset is not in the log of its partition, for example because retention has deleted the record, the
    consumer continues at the first offset of the log: it may read records again, but skips none that still exist.
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
    """Stops a consumer and closes its connections, even if its start has failed. Raises only CancelledError.

    A regular stop leaves the group. If it takes longer than `within` seconds, closes the connections without waiting
    for the broker, which takes at most 2 s more. If the caller is cancelled, CancelledError is raised after the
    consumer has stopped, so that no task or socket leaks.
    """
    ending = asyncio.ensure_future(_stop(consumer, within))
    try:
        await asyncio.shield(ending)
    except asyncio.CancelledError:
        await ending
        raise


async def _stop(consumer: AIOKafkaConsumer, within: float) -> None:
    """Stops the consumer. If that takes longer than `within` seconds, closes its connections, within 2 s."""
    # `stop` waits for the broker's response to the request to leave the group, at worst until that request times out.
    # Cancelling `stop` would leak tasks and sockets, and calling it again is a no-op. It ends once the connections are
    # closed. aiokafka has no public method for closing them, so a private one is used.
    stopping = asyncio.ensure_future(consumer.stop())
    _, late = await asyncio.wait({stopping}, timeout=within)
    if late:
        await asyncio.wait({asyncio.ensure_future(consumer._client.close())}, timeout=CLOSE_TIMEOUT_S)
        await asyncio.wait({stopping}, timeout=CLOSE_TIMEOUT_S)
    stopping.cancel()
    await asyncio.gather(stopping, return_exceptions=True)


def _milliseconds(seconds: float) -> int:
    return int(seconds * 1000)
