"""The delivery log: listing deliveries, and retrying them on request."""

from collections.abc import Sequence
from uuid import UUID

import msgspec
from msgspec.structs import replace

from application.ports.deliveries import Deliveries, DeliveryFilter
from domain.deliveries import Attempt, Delivery, Item
from domain.email_addresses import masked, masked_in
from domain.errors import NotFailed, NotFound, ScopeMissing
from domain.identity import Identity


class DeliveryPage(msgspec.Struct, frozen=True):
    """A page of deliveries, newest first. `next_cursor` is the cursor of the next page (`before`), with older
    deliveries; None on the last page. `total` is the number of all that match; None if it was not requested."""

    deliveries: Sequence[Delivery]
    next_cursor: UUID | None
    total: int | None = None


class HandleDeliveries:
    """Lists the delivery log, and retries failed deliveries.

    Admins see addresses in full. All other readers see them masked, also where a subject, a user's name or a peer's
    reply contains them. They can't filter by address (ScopeMissing), since such a request would reveal whether an
    address exists. A retry makes a failed delivery, or one without a destination, pending and due immediately. Of
    several concurrent retries one succeeds, and the others raise NotFailed, so that the delivery is sent once. Raises
    NotFound for a delivery that does not exist, and StoreUnavailable.
    """

    def __init__(self, deliveries: Deliveries) -> None:
        self._deliveries = deliveries

    async def by_page(self, reader: Identity, only: DeliveryFilter, page: int, size: int) -> DeliveryPage:
        """Returns page number `page`, counted from 1, of pages with `size` deliveries, and the total."""
        listed = await self._list(reader, only, size, offset=(page - 1) * size)
        return replace(listed, total=await self._deliveries.count(only))

    async def by_cursor(self, reader: Identity, only: DeliveryFilter, limit: int, before: UUID | None) -> DeliveryPage:
        return await self._list(reader, only, limit, before=before)

    async def one(self, reader: Identity, id: UUID) -> tuple[Delivery, Sequence[Attempt]]:
        """Returns a delivery and the attempts at it."""
        delivery = await self._get(id)
        attempts = await self._deliveries.attempts(id)
        if reader.may("admin"):
            return delivery, attempts
        seen = [replace(attempt, text=masked_in(attempt.text, delivery.destination)) for attempt in attempts]
        return _masked(delivery), seen

    async def retry(self, id: UUID) -> Delivery:
        """Makes the delivery pending, due immediately. Returns it in its new state; it may have been sent already."""
        before = await self._deliveries.retry(id)
        if before is not None and not before.retryable:
            raise NotFailed(before.status)
        return await self._get(id)

    async def _get(self, id: UUID) -> Delivery:
        delivery = await self._deliveries.get(id)
        if delivery is None:
            raise NotFound("There is no such delivery.")
        return delivery

    async def _list(
        self, reader: Identity, only: DeliveryFilter, limit: int, *, before: UUID | None = None, offset: int = 0
    ) -> DeliveryPage:
        if only.recipient is not None and not reader.may("admin"):
            raise ScopeMissing("admin")
        found = await self._deliveries.newest(limit + 1, only, before, offset)
        listed = found[:limit]
        next_cursor = listed[-1].id if len(found) > limit else None
        return DeliveryPage(listed if reader.may("admin") else [_masked(one) for one in listed], next_cursor)


def _masked(delivery: Delivery) -> Delivery:
    """Returns the delivery as readers without the scope `admin` see it."""
    address = delivery.destination

    def mask(text: str | None) -> str | None:
        return None if text is None else masked_in(text, address)

    def masked_item(item: Item) -> Item:
        return replace(item, subject=mask(item.subject))

    return replace(
        delivery,
        destination=masked(address),
        items=tuple(map(masked_item, delivery.items)),
        user=mask(delivery.user),
        error=mask(delivery.error),
    )
