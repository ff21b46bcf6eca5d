"""Deletes old notifications, broadcasts, dead letters and deliveries in memory."""

from collections.abc import Iterable
from datetime import datetime

from adapters.memory.shared_records import MemoryRecords
from adapters.memory.streams import Feed, Inbox
from application.ports.retention import Keep, Keeping, Pruned


class MemoryRetention:
    """Implements the port Retention on the shared MemoryRecords."""

    def __init__(self, records: MemoryRecords) -> None:
        self._records = records

    async def prune(self, keeping: Keeping, now: datetime, limit: int = 500) -> Pruned:
        return Pruned(
            notifications=self._prune(self._records.inboxes.values(), keeping.inbox, now, limit),
            broadcasts=self._prune(self._records.feeds.values(), keeping.feed, now, limit),
            dead_letters=self._drop(keeping.dead_letters, now, limit),
            deliveries=self._drop_deliveries(keeping.deliveries, now, limit),
        )

    def _prune(self, streams: Iterable[Feed | Inbox], keep: Keep, now: datetime, limit: int) -> int:
        pruned = 0
        for stream in streams:
            while pruned < limit and stream.seqs:
                oldest = stream.entry(stream.seqs[0])
                if len(stream.seqs) <= keep.count and now - oldest.stored_at <= keep.age:
                    break
                self._records.prune(stream)
                pruned += 1
        return pruned

    def _drop(self, keep: Keep, now: datetime, limit: int) -> int:
        letters = self._records.letters
        dropped = 0
        while dropped < limit and letters:
            oldest = next(iter(letters.values()))
            if len(letters) <= keep.count and now - oldest.kept_at <= keep.age:
                break
            self._records.drop_letter(oldest.id)
            dropped += 1
        return dropped

    def _drop_deliveries(self, keep: Keep, now: datetime, limit: int) -> int:
        kept = (one.delivery for one in self._records.deliveries.values())
        ended = [one for one in kept if one.status != "pending"]
        too_many = len(ended) - keep.count
        due = [one.id for rank, one in enumerate(ended) if rank < too_many or now - one.created_at > keep.age]
        for id in due[:limit]:
            self._records.drop_delivery(id)
        return len(due[:limit])
