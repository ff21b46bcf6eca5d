"""Deliveries in memory."""

from collections.abc import Collection, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any
from uuid import UUID, uuid4

from msgspec.structs import replace

from adapters.memory.records import KeptDelivery, MemoryRecords
from application.ports.deliveries import ANY, Claim, DeliveryChoice, Outcome
from domain.deliveries import Attempt, Delivery


class MemoryDeliveries:
    """Implements Deliveries."""

    def __init__(self, records: MemoryRecords) -> None:
        self._records = records

    async def claim(self, limit: int, seconds: float, except_templates: Collection[str] = ()) -> tuple[Claim, ...]:
        now, lease = datetime.now(UTC), uuid4()
        due = [
            kept
            for kept in self._pending()
            if kept.delivery.due_at <= now and kept.delivery.mail.template not in except_templates
        ]
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

    async def leave_to_others(self, claims: Sequence[Claim], error: str) -> None:
        now = datetime.now(UTC)
        for claim in claims:
            if (kept := self._held(claim)) is not None:
                kept.lease = None
                _change(kept, due_at=now, error=error, unrendered_since=kept.delivery.unrendered_since or now)

    async def clear_unrendered(self, templates: Collection[str]) -> int:
        marked = [
            kept
            for kept in self._pending()
            if kept.delivery.unrendered_since is not None and kept.delivery.mail.template in templates
        ]
        for kept in marked:
            _change(kept, unrendered_since=None)
        return len(marked)

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
                unrendered_since=None,
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

    async def retry(self, id: UUID) -> Delivery | None:
        kept = self._records.deliveries.get(id)
        if kept is None:
            return None
        before = kept.delivery
        if before.retryable:
            now = datetime.now(UTC)
            _change(kept, status="pending", due_at=now, updated_at=now, strikes=0, unrendered_since=None)
        return before

    def _pending(self) -> Iterator[KeptDelivery]:
        return (kept for kept in self._records.deliveries.values() if kept.delivery.status == "pending")

    def _held(self, claim: Claim) -> KeptDelivery | None:
        """What was claimed, if its lease is still the claim's own."""
        kept = self._records.deliveries.get(claim.delivery.id)
        return kept if kept is not None and kept.lease == claim.lease else None

    def _chosen(self, choice: DeliveryChoice) -> Iterator[Delivery]:
        """Newest first."""
        return (kept.delivery for kept in reversed(self._records.deliveries.values()) if _is_chosen(kept, choice))


def _is_chosen(kept: KeptDelivery, choice: DeliveryChoice) -> bool:
    one = kept.delivery
    return (
        choice.recipient in (None, one.address)
        and choice.status in (None, one.status)
        and choice.reference in (None, one.mail.reference)
        and choice.user in (None, one.mail.user)
        and choice.event_id in (None, one.mail.event_id)
        and (choice.since is None or one.created_at >= choice.since)
        and (choice.refused is None or (one.status == "failed" and choice.refused == _was_refused(kept)))
    )


def _was_refused(kept: KeptDelivery) -> bool:
    return not kept.attempts or kept.attempts[-1].result == "refused"


def _change(kept: KeptDelivery, **fields: Any) -> None:
    kept.delivery = replace(kept.delivery, **fields)
