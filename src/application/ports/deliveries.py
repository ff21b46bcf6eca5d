"""The port for deliveries: worked off by those who send mail, looked through by those who run Herald."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Final, Protocol
from uuid import UUID

import msgspec

from domain.deliveries import Attempt, Delivery, Status


class Claim(msgspec.Struct, frozen=True):
    """A delivery that this process may try, as long as its lease lasts."""

    delivery: Delivery
    lease: UUID


class Outcome(msgspec.Struct, frozen=True):
    """What an attempt has made of a claim.

    `status` is what the delivery becomes; `retry_in` the seconds until the next attempt, if it stays pending. `counts`
    is whether the attempt counts as a strike, `awaits_server` that the next one is only worth it once the server is
    back.
    """

    claim: Claim
    attempt: Attempt
    status: Status
    error: str | None = None
    retry_in: float = 0.0
    counts: bool = True
    awaits_server: bool = False


class DeliveryChoice(msgspec.Struct, frozen=True):
    """Which deliveries are meant; None is any. Addresses compare as `domain.addresses.as_address` writes them.

    `since` chooses those made then or later. `refused` chooses failed ones by how they failed: for good (True: the
    mail server refused the mail, or it could not be made), or after too many attempts (False).
    """

    recipient: str | None = None
    status: Status | None = None
    reference: str | None = None
    user: str | None = None
    event_id: str | None = None
    since: datetime | None = None
    refused: bool | None = None


ANY: Final = DeliveryChoice()


class Deliveries(Protocol):
    """For working off deliveries and looking through them. Store.record puts them there.

    A delivery is tried by one process at a time: whoever claims it has it for as long as the lease lasts, by the
    store's own clock, and what comes of it counts only while the lease is its own. Whoever dies leaves a lease that
    runs out. Every method raises StoreUnavailable or Unstorable, having changed nothing.
    """

    async def claim(self, limit: int, seconds: float, except_templates: Collection[str] = ()) -> tuple[Claim, ...]:
        """At most `limit` of the deliveries that are due, the longest due first, each leased for so many seconds. Rows
        that another process is claiming are skipped, and so are mails with one of these templates."""

    async def release(self, claims: Sequence[Claim]) -> None:
        """Gives back what was not tried: due immediately."""

    async def leave_to_others(self, claims: Sequence[Claim], error: str) -> None:
        """Gives back what this node has no usable template for: due immediately, with this error, and with
        `unrendered_since` set where it was not. Recording an attempt clears that, and so does a retry."""

    async def clear_unrendered(self, templates: Collection[str]) -> int:
        """Some node has these templates: clears `unrendered_since` of the pending mails with them. Returns how many
        had it."""

    async def settle(self, outcomes: Sequence[Outcome]) -> int:
        """Records attempts and what they made of their deliveries, in one transaction. Returns how many counted: those
        whose lease was still the claim's own. Of the others nothing is kept."""

    async def hasten(self) -> int:
        """The server is back: deliveries that await it are due now. Returns how many."""

    async def newest(
        self, limit: int, choice: DeliveryChoice = ANY, before: UUID | None = None, offset: int = 0
    ) -> tuple[Delivery, ...]:
        """Newest first; with `before`, those made before that one."""

    async def count(self, choice: DeliveryChoice) -> int: ...

    async def get(self, id: UUID) -> Delivery | None: ...

    async def attempts(self, id: UUID) -> tuple[Attempt, ...]:
        """Those at one delivery, in their order."""

    async def retry(self, id: UUID) -> Delivery | None:
        """Makes a retryable delivery pending, due immediately, with its strikes reset. Returns the delivery as it was
        before, so that exactly one of several concurrent calls finds it retryable; None if there is no such
        delivery."""
