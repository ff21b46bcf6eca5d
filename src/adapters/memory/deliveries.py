"""Deliveries in memory."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any
from uuid import UUID, uuid4

from msgspec.structs import replace

from adapters.memory.records import KeptDelivery, MemoryRecords
from application.ports.deliveries import ANY, Claim, DeliveryChoice, Outcome
from domain.deliveries import Attempt, Delivery, Status


class MemoryDeliveries:
    """Implements Deliveries."""

    def __init__(self, records: MemoryRecords) -> None:
        self._records = records

    async def claim(self, limit: int, seconds: float) -> tuple[Claim, ...]:
        now, lease = datetime.now(UTC), uuid4()
        due = [kept for kept in self._pending() if kept.delivery.due_at <= now]
        due.sort(key=lambda kept: kept.delivery.due_at)
        for kept in due[:limit]:
            kept.lease, kept.awaits_server = lease, False
            _change(kept, due_at=now + timedelta(seconds=seconds))
        return tuple(Claim(kept.delivery, lease) for kept in due[:limit])

    async def release(self, claims: Sequence[Claim]) -> None:
        for claim in claims:
            if (kept := self._held(claim)) is not None:
                kept.lease = None
                _change(kept, due_at=datetime.now(UTC))

    async def settle(self, outcomes: Sequence[Outcome]) -> int:
        settled = 0
        for outcome in outcomes:
            kept = self._held(outcome.claim)
            if kept is None:
                continue
            settled += 1
            now, was = datetime.now(UTC), kept.delivery
            kept.lease, kept.awaits_server = None, outcome.awaits_server
            kept.attempts.append(outcome.attempt)
            _change(
                kept,
                status=outcome.status,
                error=outcome.error,
                due_at=now + timedelta(seconds=outcome.retry_in),
                updated_at=now,
                sent_at=now if outcome.status == "sent" else None,
                attempts=was.attempts + 1,
                strikes=was.strikes + outcome.counts,
            )
        return settled

    async def hasten(self) -> int:
        waiting = [kept for kept in self._pending() if kept.awaits_server]
        for kept in waiting:
            kept.awaits_server = False
            _change(kept, due_at=datetime.now(UTC))
        return len(waiting)

    async def newest(
        self, limit: int, choice: DeliveryChoice = ANY, before: UUID | None = None, offset: int = 0
    ) -> tuple[Delivery, ...]:
        # Ids ascend in the order of making.
        chosen = (one for one in self._chosen(choice) if before is None or one.id < before)
        return tuple(islice(chosen, offset, offset + limit))

    async def count(self, choice: DeliveryChoice) -> int:
        return sum(1 for _ in self._chosen(choice))

    async def get(self, id: UUID) -> Delivery | None:
        kept = self._records.deliveries.get(id)
        return kept.delivery if kept is not None else None

    async def attempts(self, id: UUID) -> tuple[Attempt, ...]:
        kept = self._records.deliveries.get(id)
        return tuple(kept.attempts) if kept is not None else ()

    async def retry(self, id: UUID) -> Status | None:
        kept = self._records.deliveries.get(id)
        if kept is None:
            return None
        status = kept.delivery.status
        if status == "failed":
            now = datetime.now(UTC)
            _change(kept, status="pending", due_at=now, updated_at=now, strikes=0)
        return status

    def _pending(self) -> Iterator[KeptDelivery]:
        return (kept for kept in self._records.deliveries.values() if kept.delivery.status == "pending")

    def _held(self, claim: Claim) -> KeptDelivery | None:
        """What was claimed, if its lease is still the claim's own."""
        kept = self._records.deliveries.get(claim.delivery.id)
        return kept if kept is not None and kept.lease == claim.lease else None

    def _chosen(self, choice: DeliveryChoice) -> Iterator[Delivery]:
        """Newest first."""
        for kept in reversed(self._records.deliveries.values()):
            one = kept.delivery
            if (
                choice.recipient in (None, one.address)
                and choice.status in (None, one.status)
                and choice.order_id in (None, one.mail.order_id)
            ):
                yield one


def _change(kept: KeptDelivery, **fields: Any) -> None:
    kept.delivery = replace(kept.delivery, **fields)
