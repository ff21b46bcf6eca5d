"""Handling deliveries: looked through, and tried again where they failed."""

from collections.abc import Sequence
from uuid import UUID

import msgspec
from msgspec.structs import replace

from application.ports.deliveries import Deliveries, DeliveryChoice
from domain.addresses import masked, masked_in
from domain.deliveries import Attempt, Delivery
from domain.errors import NotFailed, NotFound, ScopeMissing
from domain.identity import Identity


class Listing(msgspec.Struct, frozen=True):
    """Some deliveries, newest first. `rest` is where to go on (`before`), None if no more are chosen; `total` counts
    all that are, where it was asked for."""

    deliveries: Sequence[Delivery]
    rest: UUID | None
    total: int | None = None


class HandleDeliveries:
    """Looks through the delivery log, and has failed deliveries tried again.

    An admin sees addresses whole. Every other reader sees them masked, also where a subject, a user's name or a
    server's words repeat them; and may not choose deliveries by address, since each such question would tell whether
    an address is there: ScopeMissing. A retry makes a failed delivery, or one without an address, pending and due
    immediately; one of several concurrent retries does so, and the others raise NotFailed, so that one mail is sent.
    Raises NotFound for a delivery that does not exist, and StoreUnavailable.
    """

    def __init__(self, deliveries: Deliveries) -> None:
        self._deliveries = deliveries

    async def by_page(self, reader: Identity, choice: DeliveryChoice, page: int, size: int) -> Listing:
        """The `page`-th `size` of them, from 1, counted."""
        listing = await self._listing(reader, choice, size, offset=(page - 1) * size)
        return replace(listing, total=await self._deliveries.count(choice))

    async def by_cursor(self, reader: Identity, choice: DeliveryChoice, limit: int, before: UUID | None) -> Listing:
        return await self._listing(reader, choice, limit, before=before)

    async def one(self, reader: Identity, id: UUID) -> tuple[Delivery, Sequence[Attempt]]:
        """A delivery, with the attempts at it."""
        delivery = await self._get(id)
        attempts = await self._deliveries.attempts(id)
        if reader.may("admin"):
            return delivery, attempts
        seen = [replace(attempt, text=masked_in(attempt.text, delivery.address)) for attempt in attempts]
        return _masked(delivery), seen

    async def retry(self, id: UUID) -> Delivery:
        """The delivery as it is afterwards, which may be sent already."""
        before = await self._deliveries.retry(id)
        if before is not None and not before.retryable:
            raise NotFailed(before.status)
        return await self._get(id)

    async def _get(self, id: UUID) -> Delivery:
        delivery = await self._deliveries.get(id)
        if delivery is None:
            raise NotFound("There is no such delivery.")
        return delivery

    async def _listing(
        self, reader: Identity, choice: DeliveryChoice, limit: int, *, before: UUID | None = None, offset: int = 0
    ) -> Listing:
        if choice.recipient is not None and not reader.may("admin"):
            raise ScopeMissing("admin")
        found = await self._deliveries.newest(limit + 1, choice, before, offset)
        listed = found[:limit]
        rest = listed[-1].id if len(found) > limit else None
        return Listing(listed if reader.may("admin") else [_masked(one) for one in listed], rest)


def _masked(delivery: Delivery) -> Delivery:
    """As those see it who need not know whose it is."""
    address, mail = delivery.address, delivery.mail
    user, subject = (None if text is None else masked_in(text, address) for text in (mail.user, mail.subject))
    return replace(
        delivery,
        address=masked(address),
        mail=replace(mail, user=user, subject=subject),
        error=None if delivery.error is None else masked_in(delivery.error, address),
    )
