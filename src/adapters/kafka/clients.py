"""Making aiokafka's clients, and getting rid of them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient

from adapters.kafka.timing import Timing

# Time enough to close sockets, in seconds; nothing waits for a broker any more.
CUT: Final = 1.0


@asynccontextmanager
async def administration(options: dict[str, Any]) -> AsyncIterator[AIOKafkaAdminClient]:
    """For questions about the cluster and its groups. Raises KafkaError while no broker answers."""
    admin = AIOKafkaAdminClient(**options)
    try:
        await admin.start()
        yield admin
    finally:
        await admin.close()


def new_consumer(options: dict[str, Any], group: str | None, timing: Timing) -> AIOKafkaConsumer:
    """A consumer that commits only when told to; without a group, one that only asks.

    Where Kafka no longer has the committed position, it reads from the beginning: rather twice than never.
    """
    return AIOKafkaConsumer(
        **options,
        group_id=group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
        metadata_max_age_ms=_milliseconds(timing.metadata_age),
        session_timeout_ms=_milliseconds(timing.session),
        # Two may be lost.
        heartbeat_interval_ms=_milliseconds(timing.session / 3),
        rebalance_timeout_ms=_milliseconds(timing.rejoin_by),
        max_poll_interval_ms=_milliseconds(timing.max_poll_interval),
    )


async def discard(consumer: AIOKafkaConsumer, within: float) -> None:
    """Stops a consumer in whatever state it is, a failed start included, in at most `within` + 2 s. Never fails.

    Someone who is cancelled here still waits for the end, so that nothing is left behind.
    """
    ending = asyncio.ensure_future(_end(consumer, within))
    try:
        await asyncio.shield(ending)
    except asyncio.CancelledError:
        await ending
        raise


async def _end(consumer: AIOKafkaConsumer, within: float) -> None:
    """`stop` waits for the broker's goodbye, at worst until the request times out.

    Cancelled, it would leave its tasks and sockets behind, and a second `stop` does nothing. With the connections cut
    under it, it runs to its end; there is no public way to cut them.
    """
    stopping = asyncio.ensure_future(consumer.stop())
    _, late = await asyncio.wait({stopping}, timeout=within)
    if late:
        await asyncio.wait({asyncio.ensure_future(consumer._client.close())}, timeout=CUT)
        await asyncio.wait({stopping}, timeout=CUT)
    stopping.cancel()
    await asyncio.gather(stopping, return_exceptions=True)


def _milliseconds(seconds: float) -> int:
    return int(seconds * 1000)
