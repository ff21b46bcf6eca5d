"""The port for deliveries: claimed and recorded by dispatchers, listed and retried by administrators."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Final, Protocol
from uuid import UUID

import msgspec

from domain.deliveries import Attempt, Delivery, Status
from domain.preferences import DEFAULT, Preferences


class Claim(msgspec.Struct, frozen=True):
    """A delivery that this process may attempt while its lease lasts, with the preferences of its user at the time of
    the claim."""

    delivery: Delivery
    lease: UUID
    preferences: Preferences = DEFAULT


class Outcome(msgspec.Struct, frozen=True):
    """The outcome of a claim. `attempt` is None if nothing was attempted: the delivery was held or skipped.

    `status` is the new status of the delivery. If it stays pending, it is due in `retry_in` seconds. `counts` says
    whether the attempt counts towards the maximum number of attempts. `awaited_peer` is the peer that was unavailable:
    the delivery is due as soon as that peer is available (see Deliveries.wake_deferred).
    """

    claim: Claim
    attempt: Attempt | None
    status: Status
    error: str | None = None
    retry_in: float = 0.0
    counts: bool = True
    awaited_peer: str | None = None


class DeliveryFilter(msgspec.Struct, frozen=True):
    """Selects deliveries; None matches any value. Addresses are compared as `domain.email_addresses.as_address`
    normalises them.

    `event_id` and `reference` match if any item of the delivery has the value. `since` selects deliveries created at
    that time or later. `refused` selects failed deliveries by cause. True: failed permanently, because the peer refused
    the delivery or it could not be prepared. False: given up after too many attempts.
    """

    recipient: str | None = None
    status: Status | None = None
    reference: str | None = None
    user: str | None = None
    event_id: str | None = None
    since: datetime | None = None
    refused: bool | None = None


ANY: Final = DeliveryFilter()


class Deliveries(Protocol):
    """Claims deliveries, records their outcomes, and lists them. Store.record creates them.

    A delivery is attempted by one process at a time: a claim holds it until its lease expires, by the store's clock,
    and an outcome is recorded only while the lease still belongs to the claim. The lease of a process that dies
    expires. Every method raises StoreUnavailable or Unstorable, having changed nothing.
    """

    async def claim(
        self, channel: str, limit: int, lease_seconds: float, except_templates: Collection[str] = ()
    ) -> tuple[Claim, ...]:
        """Claims at most `limit` deliveries of the channel that are due, those due for the longest time first. Skips
        rows that another process is claiming, deliveries with one of the templates `except_templates`, and those in a
        format that this version does not support."""

    async def release(self, claims: Sequence[Claim]) -> None:
        """Releases claims that were not attempted: their deliveries are due immediately."""

    async def leave_to_others(self, claims: Sequence[Claim], error: str) -> None:
        """Releases claims for which this node has no usable template. Their deliveries are due immediately, with this
        `error`; `unrendered_since` is set unless it was set before. An attempt or a retry clears it."""

    async def clear_unrendered(self, channel: str, templates: Collection[str]) -> int:
        """Clears `unrendered_since` of the channel's pending deliveries with these templates, because a node has them.
        Returns the number of deliveries changed."""

    async def record_outcomes(self, outcomes: Sequence[Outcome]) -> int:
        """Records attempts and the new states of their deliveries, in one transaction. Ignores outcomes whose lease no
        longer belongs to the claim. Returns the number of outcomes recorded."""

    async def wake_deferred(self, channel: str, peer: str | None = None) -> int:
        """Makes the channel's deliveries that await this peer due immediately; with None, those that await any peer.
        Returns their number."""

    async def newest(
        self, limit: int, only: DeliveryFilter = ANY, before: UUID | None = None, offset: int = 0
    ) -> tuple[Delivery, ...]:
        """Returns at most `limit` deliveries, newest first, after skipping `offset`. With `before`, only those created
        before the delivery with this id."""

    async def count(self, only: DeliveryFilter) -> int: ...

    async def get(self, id: UUID) -> Delivery | None: ...

    async def attempts(self, id: UUID) -> tuple[Attempt, ...]:
        """Returns the attempts at one delivery, in order."""

    async def retry(self, id: UUID) -> Delivery | None:
        """Makes a retryable delivery pending, due immediately, with no attempts counted. Returns the delivery as it was
        before, so that exactly one of several concurrent calls gets a retryable one; None if the delivery does not
        exist."""
