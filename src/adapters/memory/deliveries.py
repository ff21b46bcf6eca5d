"""Claims deliveries in memory and records their outcomes for the dispatchers, and lists deliveries for
administrators."""

from collections.abc import Collection, Iterator, Sequence
from datetime import timedelta
from itertools import islice
from typing import Any
from uuid import UUID, uuid4

from msgspec.structs import replace

from adapters.memory.shared_records import KeptDelivery, MemoryRecords
from application.ports.clock import Clock
from application.ports.deliveries import ANY, Claim, DeliveryFilter, Outcome
from domain.deliveries import Attempt, Delivery
from domain.preferences import DEFAULT


class MemoryDeliveries:
    """Implements the port Deliveries on the shared MemoryRecords."""

    def __init__(self, records: MemoryRecords, clock: Clock) -> None:
        self._records = records
        self._clock = clock

    async def claim(
        self, channel: str, limit: int, lease_seconds: float, except_templates: Collection[str] = ()
    ) -> tuple[Claim, ...]:
        now, lease = self._clock.now(), uuid4()
        due = [
            kept
            for kept in self._pending(channel)
            if kept.delivery.due_at <= now and kept.delivery.item.template not in except_templates
        ]
        due.sort(key=lambda kept: kept.delivery.due_at)
        for kept in due[:limit]:
            kept.lease, kept.awaited_peer = lease, None
            _change(kept, due_at=now + timedelta(seconds=lease_seconds))
        preferences = self._records.preferences
        return tuple(
            Claim(kept.delivery, lease, preferences.get(kept.delivery.user or "", DEFAULT)) for kept in due[:limit]
        )

    async def release(self, claims: Sequence[Claim]) -> None:
        for claim in claims:
            if (kept := self._still_claimed(claim)) is not None:
                kept.lease = None
                _change(kept, due_at=self._clock.now())

    async def leave_to_others(self, claims: Sequence[Claim], error: str) -> None:
        now = self._clock.now()
        for claim in claims:
            if (kept := self._still_claimed(claim)) is not None:
                kept.lease = None
                _change(kept, due_at=now, error=error, unrendered_since=kept.delivery.unrendered_since or now)

    async def clear_unrendered(self, channel: str, templates: Collection[str]) -> int:
        marked = [
            kept
            for kept in self._pending(channel)
            if kept.delivery.unrendered_since is not None and kept.delivery.item.template in templates
        ]
        for kept in marked:
            _change(kept, unrendered_since=None)
        return len(marked)

    async def record_outcomes(self, outcomes: Sequence[Outcome]) -> int:
        counted = 0
        for outcome in outcomes:
            kept = self._still_claimed(outcome.claim)
            if kept is None:
                continue
            counted += 1
            now, before = self._clock.now(), kept.delivery
            kept.lease, kept.awaited_peer = None, outcome.awaited_peer
            if outcome.attempt is not None:
                kept.attempts.append(outcome.attempt)
            _change(
                kept,
                status=outcome.status,
                error=outcome.error,
                due_at=now + timedelta(seconds=outcome.retry_in),
                updated_at=now,
                sent_at=now if outcome.status == "sent" else None,
                attempts=len(kept.attempts),
                counted_attempts=before.counted_attempts + outcome.counts,
                unrendered_since=None,
            )
        return counted

    async def wake_deferred(self, channel: str, peer: str | None = None) -> int:
        waiting = [
            kept
            for kept in self._pending(channel)
            if kept.awaited_peer is not None and peer in (None, kept.awaited_peer)
        ]
        for kept in waiting:
            kept.awaited_peer = None
            _change(kept, due_at=self._clock.now())
        return len(waiting)

    async def newest(
        self, limit: int, only: DeliveryFilter = ANY, before: UUID | None = None, offset: int = 0
    ) -> tuple[Delivery, ...]:
        # Ids ascend in the order of creation.
        matching = (one for one in self._matching(only) if before is None or one.id < before)
        return tuple(islice(matching, offset, offset + limit))

    async def count(self, only: DeliveryFilter) -> int:
        return sum(1 for _ in self._matching(only))

    async def get(self, id: UUID) -> Delivery | None:
        kept = self._records.deliveries.get(id)
        return kept.delivery if kept is not None else None

    async def attempts(self, id: UUID) -> tuple[Attempt, ...]:
        kept = self._records.deliveries.get(id)
        return tuple(kept.attempts) if kept is not None else ()

    async def retry(self, id: UUID) -> Delivery | None:
        kept = self._records.deliveries.get(id)
        if kept is None:
            return None
        before = kept.delivery
        if before.retryable:
            now = self._clock.now()
            _change(kept, status="pending", due_at=now, updated_at=now, counted_attempts=0, unrendered_since=None)
        return before

    def _pending(self, channel: str) -> Iterator[KeptDelivery]:
        return (
            kept
            for kept in self._records.deliveries.values()
            if kept.delivery.status == "pending" and kept.delivery.channel == channel
        )

    def _still_claimed(self, claim: Claim) -> KeptDelivery | None:
        """Returns the stored delivery of the claim. Returns None if the delivery has been claimed again, released or
        recorded since, or does not exist any more."""
        kept = self._records.deliveries.get(claim.delivery.id)
        return kept if kept is not None and kept.lease == claim.lease else None

    def _matching(self, only: DeliveryFilter) -> Iterator[Delivery]:
        """Yields the deliveries that match the filter `only`, newest first."""
        return (kept.delivery for kept in reversed(self._records.deliveries.values()) if _matches(kept, only))


def _matches(kept: KeptDelivery, only: DeliveryFilter) -> bool:
    one = kept.delivery
    return (
        only.recipient in (None, one.destination)
        and only.status in (None, one.status)
        and any(only.reference in (None, item.reference) for item in one.items)
        and only.user in (None, one.user)
        and any(only.event_id in (None, item.event_id) for item in one.items)
        and (only.since is None or one.created_at >= only.since)
        and (only.refused is None or (one.status == "failed" and only.refused == _was_refused(kept)))
    )


def _was_refused(kept: KeptDelivery) -> bool:
    """Returns whether a failed delivery failed permanently, not after too many attempts (see DeliveryFilter.refused). A
    delivery without any attempt counts as failed permanently."""
    return not kept.attempts or kept.attempts[-1].result == "refused"


def _change(kept: KeptDelivery, **fields: Any) -> None:
    kept.delivery = replace(kept.delivery, **fields)
