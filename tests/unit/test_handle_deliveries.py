"""The delivery log: who sees what of it, and that a retry sends one mail."""

import asyncio
import time
from typing import Any
from uuid import UUID, uuid4

import pytest

from adapters.clock import SystemClock, Uuid7Factory
from adapters.memory.deliveries import MemoryDeliveries
from adapters.memory.shared_records import MemoryRecords
from adapters.memory.store import MemoryStore
from application.delivery.handle_deliveries import HandleDeliveries
from application.ports.deliveries import ANY, DeliveryFilter, Outcome
from domain.caller_errors import NotFailed, NotFound, ScopeMissing
from domain.deliveries import Attempt, Delivery, Result, Status
from domain.identity import Identity
from domain.planning import plan
from domain.preferences import Preferences
from tests.support.core import NOW, message, table

ROUTES = table(
    """
profile = "orders"
[[routes]]
source = "order"
email = { to = "to", subject = "For {to}", template = "order.html", user = "user" }
reference = "order_id"
"""
)

ADMIN = Identity("ops", frozenset({"admin"}))
READER = Identity("desk", frozenset({"deliveries:read"}))
KIM = "Kim@example.com"


class Rig:
    """A delivery log in memory, and the parts that fill it."""

    def __init__(self) -> None:
        self.records = MemoryRecords(Uuid7Factory())
        self.store = MemoryStore(self.records)
        self.deliveries = MemoryDeliveries(self.records, SystemClock())
        self.handle = HandleDeliveries(self.deliveries)
        self.events = 0

    async def mail(self, to: Any = KIM, order: str = "o-1", user: str | None = None) -> Delivery:
        """Store one event with a mail."""
        self.events += 1
        event = message("order", {"to": to, "order_id": order, "user": user}, f"e-{self.events}")
        (delivery,) = (await self.store.record([plan(event, ROUTES)], NOW)).deliveries
        return delivery

    async def attempt(self, delivery: Delivery, status: Status, text: str) -> None:
        (claim,) = await self.deliveries.claim("email", 1, 60)
        assert claim.delivery.id == delivery.id
        result: Result = "sent" if status == "sent" else "refused"
        attempt = Attempt(NOW, 0.5, result, 250 if status == "sent" else 550, text)
        assert await self.deliveries.record_outcomes([Outcome(claim, attempt, status, text)]) == 1

    async def failed(self, to: str = KIM, text: str = "no such user") -> UUID:
        delivery = await self.mail(to)
        await self.attempt(delivery, "failed", text)
        return delivery.id


@pytest.fixture
def rig() -> Rig:
    return Rig()


async def test_pages_by_number_and_by_cursor_are_the_same_newest_first(rig: Rig) -> None:
    made = [(await rig.mail(order=f"o-{number}")).id for number in range(6)]
    pages = [await rig.handle.by_page(ADMIN, ANY, page, 2) for page in (1, 2, 3, 4)]
    assert [one.id for page in pages for one in page.deliveries] == made[::-1]
    assert [page.total for page in pages] == [6] * 4
    assert [page.next_cursor for page in pages] == [made[4], made[2], None, None]

    first = await rig.handle.by_cursor(ADMIN, ANY, 4, None)
    assert (first.total, first.next_cursor) == (None, made[2])
    await rig.mail()
    second = await rig.handle.by_cursor(ADMIN, ANY, 4, first.next_cursor)
    assert [one.id for one in second.deliveries] == made[1::-1]
    assert second.next_cursor is None


async def test_the_total_follows_the_filter(rig: Rig) -> None:
    for order in ("o-1", "o-2", "o-1"):
        await rig.mail(order=order)
    listing = await rig.handle.by_page(ADMIN, DeliveryFilter(recipient=KIM, status="pending", reference="o-1"), 1, 1)
    assert (len(listing.deliveries), listing.total) == (1, 2)
    assert (await rig.handle.by_page(ADMIN, DeliveryFilter(recipient="k***@example.com"), 1, 9)).total == 0


async def test_only_an_admin_filters_by_address(rig: Rig) -> None:
    for recipient in (KIM, "lee@example.com", "k***@example.com"):
        with pytest.raises(ScopeMissing):
            await rig.handle.by_page(READER, DeliveryFilter(recipient=recipient), 1, 9)
        with pytest.raises(ScopeMissing):
            await rig.handle.by_cursor(READER, DeliveryFilter(recipient=recipient), 9, None)


async def test_an_admin_sees_full_addresses(rig: Rig) -> None:
    id = await rig.failed(text=f"<{KIM}>: no such user")
    delivery, (attempt,) = await rig.handle.one(ADMIN, id)
    (listed,) = (await rig.handle.by_page(ADMIN, ANY, 1, 1)).deliveries
    assert listed == delivery == await rig.deliveries.get(id)
    assert (delivery.destination, delivery.error, attempt.text) == (KIM, *[f"<{KIM}>: no such user"] * 2)


async def test_a_reader_sees_masked_addresses_in_every_field(rig: Rig) -> None:
    rig.records.preferences[KIM] = Preferences(email_notifications=False)
    skipped = await rig.mail(user=KIM)
    assert (skipped.user, skipped.item.subject, skipped.error) == (KIM, f"For {KIM}", f"{KIM} has switched off e-mail")
    id = await rig.failed(text=f"550 <{KIM}>: no such user")
    delivery, (attempt,) = await rig.handle.one(READER, id)
    by_page = (await rig.handle.by_page(READER, ANY, 1, 2)).deliveries
    by_cursor = (await rig.handle.by_cursor(READER, ANY, 2, None)).deliveries
    assert (await rig.handle.one(READER, skipped.id))[0] == by_page[1] == by_cursor[1]
    assert delivery == by_page[0] == by_cursor[0]
    assert (delivery.error, attempt.text) == ("550 <K***@example.com>: no such user",) * 2
    assert (by_page[1].destination, by_page[1].user) == ("K***@example.com",) * 2
    assert by_page[1].item.subject == "For K***@example.com"
    assert by_page[1].error == "K***@example.com has switched off e-mail"


@pytest.mark.parametrize(
    ("address", "text", "seen"),
    [
        (KIM, "kim@EXAMPLE.COM unknown", "K***@example.com unknown"),
        (KIM, "forwarded to kim.doe+x@elsewhere.example.", "forwarded to k***@elsewhere.example."),
        ("kim@bücher.example", "<kim@xn--bcher-kva.example>", "<k***@xn--bcher-kva.example>"),
        (KIM, "rfc822;Kim@example.com,sunkim@example.com", "rfc822;K***@example.com,s***@example.com"),
        ("o'brien@example.com", 'to "o\'brien@example.com"', 'to "o***@example.com"'),
        (KIM, "mail to 'Kim@example.c", "mail to 'K***@example.c"),
        (KIM, "421 busy @ the moment, come back @ten", "421 busy @ the moment, come back @ten"),
        (KIM, "no such user", "no such user"),
        (KIM, "", ""),
    ],
)
async def test_addresses_in_server_responses_are_masked_in_any_notation(
    rig: Rig, address: str, text: str, seen: str
) -> None:
    delivery, (attempt,) = await rig.handle.one(READER, await rig.failed(address, text))
    assert (delivery.error, attempt.text) == (seen, seen)


@pytest.mark.parametrize(
    ("to", "address", "seen"),
    [
        ("kim", "***", "no mail can be sent to '***': it has no text before the @, or no domain after it"),
        ("b", "***", "no mail can be sent to '***': it has no text before the @, or no domain after it"),
        ("e", "***", "no mail can be sent to '***': it has no text before the @, or no domain after it"),
        ("kim doe@home@x.example", "***", "no mail can be sent to '***': "),
        ("kim\\'\"doe@x.example", "***", "no mail can be sent to '***': "),
        (None, "", "no_address"),
    ],
)
async def test_text_that_is_no_address_is_masked_too(rig: Rig, to: Any, address: str, seen: str) -> None:
    id = (await rig.mail(to)).id
    delivery, _ = await rig.handle.one(READER, id)
    assert (delivery.status, delivery.destination) == ("failed" if address else "skipped", address)
    assert delivery.error is not None
    assert delivery.error.startswith(seen)
    assert delivery.item.subject == (None if to is None else f"For {address}")


async def test_masking_a_text_takes_linear_time(rig: Rig) -> None:
    id = await rig.failed(text="x" * 100_000)
    began = time.monotonic()
    await rig.handle.one(READER, id)
    assert time.monotonic() - began < 2


async def test_a_retry_makes_a_failed_delivery_due_and_resets_its_counted_attempts(rig: Rig) -> None:
    id = await rig.failed()
    assert (await rig.handle.one(ADMIN, id))[0].counted_attempts == 1
    retried = await rig.handle.retry(id)
    assert (retried.id, retried.status, retried.counted_attempts, retried.attempts) == (id, "pending", 0, 1)
    assert [claim.delivery.id for claim in await rig.deliveries.claim("email", 10, 60)] == [id]


async def test_of_two_concurrent_retries_one_sends_the_mail(rig: Rig) -> None:
    id = await rig.failed()
    outcomes = await asyncio.gather(*(rig.handle.retry(id) for _ in range(2)), return_exceptions=True)
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Delivery", "NotFailed"]
    assert len(await rig.deliveries.claim("email", 10, 60)) == 1


async def test_only_failed_deliveries_are_retried(rig: Rig) -> None:
    sent = await rig.mail()
    await rig.attempt(sent, "sent", "queued")
    rig.records.preferences["ada"] = Preferences(email_notifications=False)
    skipped, pending = await rig.mail(user="ada"), await rig.mail()
    for delivery, status in ((sent, "sent"), (skipped, "skipped"), (pending, "pending")):
        before = await rig.deliveries.get(delivery.id)
        with pytest.raises(NotFailed, match=f"this one is {status}") as refusal:
            await rig.handle.retry(delivery.id)
        assert refusal.value.status == status
        assert await rig.deliveries.get(delivery.id) == before


async def test_an_unknown_delivery_is_not_found(rig: Rig) -> None:
    for asked in (rig.handle.one(ADMIN, uuid4()), rig.handle.retry(uuid4())):
        with pytest.raises(NotFound):
            await asked
