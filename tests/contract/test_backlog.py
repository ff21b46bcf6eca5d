"""The Backlog port, on every adapter."""

from datetime import UTC, datetime, timedelta

import pytest

from application.ports.backlog_counts import PendingDeliveries, Waiting
from application.ports.deliveries import Claim, Outcome
from domain.deliveries import Attempt, Item, PlannedDelivery
from domain.plans import Plan
from tests.support.core import NOW
from tests.support.stores import Sent, Stores, order, record

KIM = "kim@example.com"
LATER_S = 3_600.0


def ago(seconds: float) -> datetime:
    return datetime.now(UTC) - timedelta(seconds=seconds)


async def mails(stores: Stores, **ages: float) -> None:
    """Store a mail for each name, created that many seconds ago."""
    for name, seconds in ages.items():
        await record(stores.store, order(name, KIM), at=ago(seconds))


async def email(stores: Stores, examined: int = 100) -> PendingDeliveries:
    return (await stores.backlog.count(100, examined)).deliveries["email"]


def later(claim: Claim, *, attempted: bool = True, peer: str | None = None) -> Outcome:
    attempt = Attempt(NOW, 0.1, "server" if peer else "deferred", 450, "later") if attempted else None
    return Outcome(claim, attempt, "pending", "later", LATER_S, awaited_peer=peer)


async def test_nothing_waits_in_an_empty_store(stores: Stores) -> None:
    assert await stores.backlog.count(100, 100) == Waiting({}, 0)


async def test_pending_deliveries_count_until_they_are_sent(stores: Stores) -> None:
    await mails(stores, a=100, b=50)
    waiting = await email(stores)
    assert (waiting.count, round(waiting.oldest_age_s / 10)) == (2, 10)
    (first,) = await stores.deliveries.claim("email", 1, 60)
    # It is still waiting while it is being sent.
    assert (await email(stores)).count == 2
    await stores.deliveries.record_outcomes([Outcome(first, Attempt(NOW, 0.1, "sent", 250, "ok"), "sent")])
    waiting = await email(stores)
    assert (waiting.count, round(waiting.oldest_age_s / 10)) == (1, 5)


@pytest.mark.parametrize("peer", [None, "mail.example.com:25"])
async def test_a_delivery_that_waits_to_be_tried_again_gets_older(stores: Stores, peer: str | None) -> None:
    await mails(stores, a=1_000)
    (claim,) = await stores.deliveries.claim("email", 1, 60)
    assert (await email(stores)).oldest_age_s >= 1_000
    await stores.deliveries.record_outcomes([later(claim, peer=peer)])
    assert (await email(stores)).oldest_age_s >= 1_000


async def test_a_delivery_that_awaits_its_peer_without_an_attempt_gets_older(stores: Stores) -> None:
    await mails(stores, a=1_000)
    (claim,) = await stores.deliveries.claim("email", 1, 60)
    await stores.deliveries.record_outcomes([later(claim, attempted=False, peer="push.example.com")])
    assert (await email(stores)).oldest_age_s >= 1_000


async def test_a_held_delivery_is_pending_and_has_no_age(stores: Stores) -> None:
    await mails(stores, a=1_000)
    (claim,) = await stores.deliveries.claim("email", 1, 60)
    await stores.deliveries.record_outcomes([later(claim, attempted=False)])
    assert await email(stores) == PendingDeliveries(1, 0.0)
    await mails(stores, b=10)
    waiting = await email(stores)
    assert (waiting.count, round(waiting.oldest_age_s / 10)) == (2, 1)


async def test_a_clock_that_is_ahead_makes_no_negative_age(stores: Stores) -> None:
    await mails(stores, a=-30)
    assert await email(stores) == PendingDeliveries(1, 0.0)


async def test_channels_are_counted_separately(stores: Stores) -> None:
    await mails(stores, a=30)
    for number, held in enumerate((False, False, True)):
        item = Item("order", f"e{number}", "order", "order", "shop", "{}", NOW, "Order")
        due_at = datetime.now(UTC) + timedelta(hours=1) if held else None
        planned = PlannedDelivery("print", "printer-1", item, due_at=due_at)
        await stores.store.record([Plan("order", f"e{number}", deliveries=(planned,))], ago(100 - 10 * number))
    waiting = (await stores.backlog.count(100, 100)).deliveries
    assert {name: one.count for name, one in waiting.items()} == {"email": 1, "print": 3}
    assert {name: round(one.oldest_age_s / 10) for name, one in waiting.items()} == {"email": 3, "print": 10}


async def test_dead_letters_count_until_they_are_dropped(stores: Stores) -> None:
    lost: list[Sent] = [("nowhere", {}, name) for name in ("x", "y", "z")]
    await record(stores.store, *lost)
    await record(stores.store, *lost[:1])
    assert (await stores.backlog.count(100, 100)).dead_letters == 3
    await stores.dead_letters.drop(await stores.dead_letters.newest(2))
    assert (await stores.backlog.count(100, 100)).dead_letters == 1


async def test_no_number_is_greater_than_the_limit(stores: Stores) -> None:
    lost: list[Sent] = [("nowhere", {}, name) for name in ("x", "y", "z")]
    await record(stores.store, *lost)
    await mails(stores, a=30, b=20, c=10)
    waiting = await stores.backlog.count(2, 100)
    assert (waiting.deliveries["email"].count, waiting.dead_letters) == (2, 2)
    assert round(waiting.deliveries["email"].oldest_age_s / 10) == 3


async def test_only_the_oldest_deliveries_are_examined(stores: Stores) -> None:
    await mails(stores, a=30, b=20)
    for claim in await stores.deliveries.claim("email", 2, 60):
        await stores.deliveries.record_outcomes([later(claim, attempted=False)])
    await mails(stores, c=10)
    assert await email(stores, examined=2) == PendingDeliveries(3, 0.0)
    assert (await email(stores, examined=3)).oldest_age_s >= 10
