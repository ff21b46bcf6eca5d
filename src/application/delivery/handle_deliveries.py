"""The delivery log: listing deliveries and their attempts, and retrying failed deliveries on request."""

from collections.abc import Sequence
from uuid import UUID

import msgspec
from msgspec.structs import replace

from application.ports.deliveries import Deliveries, DeliveryFilter
from domain.caller_errors import NotFailed, NotFound, ScopeMissing
from domain.deliveries import Attempt, Delivery, Item
from domain.email_addresses import masked, masked_in
from domain.identity import Identity


class DeliveryPage(msgspec.Struct, frozen=True):
    """A page of the delivery log, newest delivery first.

    `next_cursor` is the argument `before` of HandleDeliveries.by_cursor for the next page, with older deliveries; None
    on the last page. `total` is the number of deliveries on all pages that match the filter; None if they were not
    counted.
    """

    deliveries: Sequence[Delivery]
    next_cursor: UUID | None
    total: int | None = None


class HandleDeliveries:
    """Lists the delivery log, and retries failed deliveries; for the REST API.

    Readers with the scope `admin` see e-mail addresses in full. Other readers see them masked, also inside subjects,
    user ids and replies of the peer. A request of other readers that filters by address raises ScopeMissing, because
    its result would reveal whether an address exists. All methods raise StoreUnavailable; `one` and `retry` raise
    NotFound for a delivery that does not exist.
    """

    def __init__(self, deliveries: Deliveries) -> None:
        self._deliveries = deliveries

    async def by_page(self, reader: Identity, only: DeliveryFilter, page: int, size: int) -> DeliveryPage:
        """Returns page number `page` (from 1) of the deliveries that match the filter `only`, with `size` deliveries on
        a page, and their total number."""
        listed = await self._list(reader, only, size, offset=(page - 1) * size)
        return replace(listed, total=await self._deliveries.count(only))

    async def by_cursor(self, reader: Identity, only: DeliveryFilter, limit: int, before: UUID | None) -> DeliveryPage:
        return await self._list(reader, only, limit, before=before)

    async def one(self, reader: Identity, id: UUID) -> tuple[Delivery, Sequence[Attempt]]:
        """Returns a delivery, and all attempts to send it, the oldest first."""
        delivery = await self._get(id)
        attempts = await self._deliveries.attempts(id)
        if reader.may("admin"):
            return delivery, attempts
        seen = [replace(attempt, text=masked_in(attempt.text, delivery.destination)) for attempt in attempts]
        return _masked(delivery), seen

    async def retry(self, id: UUID) -> Delivery:
        """Makes a failed delivery, or one that was skipped because it had no destination, pending and due immediately.
        Returns the delivery as it is afterwards; it may have been sent by then. Raises NotFailed for any other
        delivery. If several requests retry one delivery concurrently, one of them succeeds and the others raise
        NotFailed."""
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
    """Returns the delivery as readers without the scope `admin` see it: with the e-mail address masked in the
    destination, subjects, user id and error."""
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
