"""The port for deliveries: dispatchers claim them and record outcomes; administrators list and retry them."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Final, Protocol
from uuid import UUID

import msgspec

from domain.deliveries import Attempt, Delivery, Status
from domain.preferences import DEFAULT, Preferences


class Claim(msgspec.Struct, frozen=True):
    """A delivery that this process may attempt until its lease ends. `lease` identifies the lease in the store.
    `preferences` are those of the delivery's user at the time of the claim."""

    delivery: Delivery
    lease: UUID
    preferences: Preferences = DEFAULT


class Outcome(msgspec.Struct, frozen=True):
    """The result of handling a claimed delivery.

    `attempt`: the attempt; None if the delivery was held or skipped. `status`: the new status of the delivery. `error`:
    why it failed, was deferred, held or skipped. `retry_in`: if the delivery stays pending, the seconds until it is
    due. `counts`: whether the attempt counts towards the maximum number of attempts. `awaited_peer`: the peer that was
    unavailable, if that is the cause; Deliveries.wake_deferred makes the delivery due as soon as this peer is
    available.
    """

    claim: Claim
    attempt: Attempt | None
    status: Status
    error: str | None = None
    retry_in: float = 0.0
    counts: bool = True
    awaited_peer: str | None = None


class DeliveryFilter(msgspec.Struct, frozen=True):
    """Selects deliveries that have all given values; None allows any value.

    `recipient`: the destination; an e-mail address must be normalised by `domain.email_addresses.as_address`.
    `event_id` and `reference`: one item of the delivery must have the value. `since`: created at this time or later.
    `refused`: only failed deliveries; True for those refused by the peer or impossible to prepare, False for those
    given up after too many attempts.
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
    """Claims deliveries, records outcomes, and lists deliveries. New deliveries are stored by Store.record.

    A delivery is attempted by one process at a time: no other process can claim it until its lease ends, by the store's
    clock. If a process dies, its leases end too. The outcome of a claim is ignored if the delivery has been claimed
    again since. Every method raises StoreUnavailable or Unstorable, having changed nothing.
    """

    async def claim(
        self, channel: str, limit: int, lease_seconds: float, except_templates: Collection[str] = ()
    ) -> tuple[Claim, ...]:
        """Claims at most `limit` due deliveries of the channel for `lease_seconds`, first those that have been due
        longest.

        Leaves out deliveries that another process is claiming at this moment, deliveries with a template in
        `except_templates`, and deliveries stored in the format of a newer version of Herald.
        """

    async def release(self, claims: Sequence[Claim]) -> None:
        """Ends claims whose deliveries were not attempted: the deliveries are due immediately, for any node."""

    async def leave_to_others(self, claims: Sequence[Claim], error: str) -> None:
        """Ends claims of deliveries whose template is missing or broken on this node. The deliveries are due
        immediately, for nodes that have the template. Stores `error` with them.

        Sets Delivery.unrendered_since, the time since which a node has lacked the template, to the current time if it
        is None. The next attempt, or a retry by an administrator, clears it.
        """

    async def clear_unrendered(self, channel: str, templates: Collection[str]) -> int:
        """Clears Delivery.unrendered_since (see leave_to_others) of the channel's pending deliveries with these
        templates, which this node can use. Returns the number of deliveries changed."""

    async def record_outcomes(self, outcomes: Sequence[Outcome]) -> int:
        """Stores attempts and the new states of their deliveries, in one transaction. Ignores an outcome if the
        delivery has been claimed again since. Returns the number of outcomes stored."""

    async def wake_deferred(self, channel: str, peer: str | None = None) -> int:
        """Makes those deliveries of the channel due immediately that were deferred because `peer` was unavailable; if
        `peer` is None, because any peer was. Returns their number."""

    async def newest(
        self, limit: int, only: DeliveryFilter = ANY, before: UUID | None = None, offset: int = 0
    ) -> tuple[Delivery, ...]:
        """Returns at most `limit` deliveries that `only` selects, newest first, after skipping the first `offset`.
        `before` is the id of a delivery: if it is set, only older ones are returned."""

    async def count(self, only: DeliveryFilter) -> int: ...

    async def get(self, id: UUID) -> Delivery | None: ...

    async def attempts(self, id: UUID) -> tuple[Attempt, ...]:
        """Returns all attempts at the delivery, oldest first."""

    async def retry(self, id: UUID) -> Delivery | None:
        """Makes a delivery pending and due immediately, with no counted attempts, if it has failed or was skipped for
        lack of a destination (Delivery.retryable). Otherwise changes nothing.

        Returns the delivery as it was before; None if it does not exist. If the returned delivery is `retryable`, this
        call has changed it; of several concurrent calls, only one gets such a result.
        """
