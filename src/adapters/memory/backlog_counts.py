"""Counts what waits in memory: pending deliveries and dead letters."""

from collections.abc import Sequence
from datetime import datetime
from itertools import groupby, islice

from adapters.memory.shared_records import KeptDelivery, MemoryRecords
from application.ports.backlog_counts import PendingDeliveries, Waiting
from application.ports.clock import Clock


class MemoryBacklog:
    """Implements the port Backlog on the shared MemoryRecords."""

    def __init__(self, records: MemoryRecords, clock: Clock) -> None:
        self._records = records
        self._clock = clock

    async def count(self, limit: int, examined: int) -> Waiting:
        now = self._clock.now()
        pending = [one for one in self._records.deliveries.values() if one.delivery.status == "pending"]
        pending.sort(key=_channel)
        channels = groupby(pending, _channel)
        deliveries = {channel: _summary(tuple(islice(some, limit)), examined, now) for channel, some in channels}
        return Waiting(deliveries, min(len(self._records.letters), limit))


def _channel(kept: KeptDelivery) -> str:
    return kept.delivery.channel


def _summary(pending: Sequence[KeptDelivery], examined: int, now: datetime) -> PendingDeliveries:
    created = (one.delivery.created_at for one in pending[:examined] if _should_be_sent(one, now))
    oldest = min(created, default=now)
    return PendingDeliveries(len(pending), max(0.0, (now - oldest).total_seconds()))


def _should_be_sent(kept: KeptDelivery, now: datetime) -> bool:
    is_tried = bool(kept.attempts) or kept.lease is not None or kept.awaited_peer is not None
    return is_tried or kept.delivery.due_at <= now
