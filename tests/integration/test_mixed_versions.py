"""Nodes of version 0.2 and of this version on one table of deliveries: no delivery is lost, repeated or changed by the
other version."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from adapters.clock import Uuid7Factory
from adapters.sql.database import Database
from adapters.sql.schema import Schema
from application.ports.deliveries import Claim, DeliveryFilter, Outcome
from application.ports.retention import Keep, Keeping
from application.ports.store import Recorded
from domain.deliveries import Attempt, Delivery, Status
from domain.planning import plan
from domain.route_table import RouteTable
from domain.routes_file import read_profile
from tests.support.core import NOW, ROUTE_CHANNELS, message
from tests.support.deliveries_0_2 import OldNode
from tests.support.print_channel import PrintTable
from tests.support.stores import Stores, order, record, sql

KIM = "kim@example.com"
ROUTES = RouteTable(
    (
        read_profile(
            """
            profile = "shop"
            [[routes]]
            source = "both"
            inbox = { title = "Order", url = "/orders/1" }
            email = { to = "mail", subject = "Order", template = "order_created.html" }
            print = { to = "printer", line = "Order" }
            """,
            "shop.toml",
            [*ROUTE_CHANNELS, PrintTable],
        ),
    )
)


class Both:
    """A node of version 0.2 and one of this version, on one database."""

    def __init__(self, url: str, stores: Stores, database: Database) -> None:
        self.old = OldNode(url)
        self.new = stores
        self.database = database
        self.ids = Uuid7Factory()

    async def add_old(self, event_id: str, recipient: str = KIM) -> bool:
        return await self.old.add(self.ids.new_id(), event_id, recipient, datetime.now(UTC) - timedelta(seconds=1))

    async def add_both(self, event_id: str) -> Recorded:
        """Store an event with two deliveries: one of channel `email`, one of channel `print`."""
        event = message("both", {"mail": KIM, "printer": KIM}, event_id)
        return await self.new.store.record([plan(event, ROUTES)], NOW)

    async def claim(self, channel: str = "email") -> tuple[Claim, ...]:
        return await self.new.deliveries.claim(channel, 10, 60)

    async def end(self, claim: Claim, status: Status, error: str | None = None) -> None:
        result: Any = {"sent": "sent", "failed": "refused", "pending": "server"}[status]
        attempt = Attempt(NOW, 0.1, result, 250, "said")
        peer = "post:25" if status == "pending" else None
        outcome = Outcome(claim, attempt, status, error, 3_600, awaited_peer=peer)
        assert await self.new.deliveries.record_outcomes([outcome]) == 1

    async def one(self, channel: str) -> Delivery:
        (one,) = [one for one in await self.new.deliveries.newest(10) if one.channel == channel]
        return one

    async def stored_items(self) -> int:
        async with self.database.engine.connect() as connection:
            return int(await connection.scalar(text("SELECT count(*) FROM delivery_items")) or 0)


@pytest.fixture(params=["postgresql", "sqlite"])
async def both(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Both]:
    if request.param == "sqlite":
        url, drop = f"sqlite+aiosqlite:///{tmp_path}/herald.db", None
    else:
        server = request.getfixturevalue("postgres")
        url, drop = server.create(), server.drop
    database = Database(url, 2)
    await Schema(database).upgrade()
    async with sql(url) as stores:
        pair = Both(url, stores, database)
        yield pair
        await pair.old.close()
    await database.close()
    if drop is not None:
        drop(url)


async def test_a_mail_of_an_old_node_is_sent_by_a_new_one(both: Both) -> None:
    assert await both.add_old("e")
    (claim,) = await both.claim()
    assert (claim.delivery.channel, claim.delivery.destination) == ("email", KIM)
    item = claim.delivery.item
    assert (item.event_id, item.subject, item.template) == ("e", "Order o-1", "order_created.html")
    assert (item.payload, item.reference, item.url) == ('{"order_id": "o-1"}', "o-1", None)
    assert await both.old.claim() == []
    await both.end(claim, "sent")
    assert [row.status for row in await both.old.newest()] == ["sent"]


async def test_a_mail_of_a_new_node_is_sent_by_an_old_one(both: Both) -> None:
    await record(both.new.store, order("e", KIM))
    (claim,) = await both.old.claim()
    assert (claim.origin, claim.event_id, claim.recipient, claim.source) == ("order", "e", KIM, "order")
    assert (claim.subject, claim.template, claim.order_id) == ("Order o-1", "order_created.html", "o-1")
    assert '"o-1"' in claim.payload
    assert await both.claim() == ()
    assert await both.old.settle(claim, "sent")
    one = await both.one("email")
    assert (one.status, one.attempts) == ("sent", 1)
    assert len(await both.new.deliveries.attempts(one.id)) == 1


async def test_an_event_is_mailed_once_whichever_node_stores_it_first(both: Both) -> None:
    assert await both.add_old("old-first")
    recorded = await record(both.new.store, order("old-first", KIM))
    assert (recorded.deliveries, await both.stored_items()) == ((), 0)
    await record(both.new.store, order("new-first", KIM))
    assert not await both.add_old("new-first")
    assert await both.new.deliveries.count(DeliveryFilter()) == 2


async def test_concurrent_nodes_of_both_versions_store_one_mail(both: Both) -> None:
    async def old(number: int) -> None:
        await both.add_old(f"e{number}")

    async def new() -> None:
        await record(both.new.store, *(order(f"e{number}", KIM) for number in range(20)))

    await asyncio.gather(new(), *(old(number) for number in range(0, 20, 3)))
    assert await both.new.deliveries.count(DeliveryFilter()) == 20
    async with both.database.engine.connect() as connection:
        orphans = "SELECT count(*) FROM delivery_items WHERE delivery_id NOT IN (SELECT id FROM deliveries)"
        assert await connection.scalar(text(orphans)) == 0


async def test_old_nodes_do_not_claim_deliveries_of_other_channels(both: Both) -> None:
    await both.add_both("e")
    assert [row.recipient for row in await both.old.claim()] == [KIM]
    (printed,) = await both.claim("print")
    assert (printed.delivery.channel, printed.delivery.item.options) == ("print", {"ink": "black"})
    assert printed.delivery.item.url == "/orders/1"
    # It stays hidden from old nodes, whatever its outcome.
    await both.end(printed, "pending")
    assert await both.old.hasten() == 0
    assert await both.old.claim() == []
    assert await both.new.deliveries.wake_deferred("print", "post:25") == 1
    (again,) = await both.claim("print")
    await both.end(again, "sent")


async def test_deliveries_deferred_by_an_unavailable_mail_server_are_woken_by_either_version(both: Both) -> None:
    await record(both.new.store, order("e", KIM))
    (claim,) = await both.claim()
    await both.end(claim, "pending")
    assert await both.old.hasten() == 1
    (row,) = await both.old.claim()
    assert await both.old.settle(row, "pending", retry_in=3_600)
    assert await both.claim() == ()
    assert await both.new.deliveries.wake_deferred("email", "post:25") == 1
    assert len(await both.claim()) == 1


async def test_a_retry_on_a_node_of_either_version_keeps_the_channel(both: Both) -> None:
    await both.add_both("e")
    for channel in ("email", "print"):
        (claim,) = await both.claim(channel)
        await both.end(claim, "failed", "refused")
    for channel in ("email", "print"):
        assert await both.old.retry((await both.one(channel)).id) == "failed"
    assert {one.status for one in await both.new.deliveries.newest(10)} == {"pending"}
    assert len(await both.old.claim()) == 1  # the mail
    (printed,) = await both.claim("print")
    assert printed.delivery.counted_attempts == 0
    await both.end(printed, "failed", "refused")
    before = await both.new.deliveries.retry(printed.delivery.id)
    assert before is not None
    assert before.status == "failed"
    assert await both.old.claim() == []
    assert len(await both.claim("print")) == 1


async def test_old_nodes_prune_ended_deliveries_and_no_pending_ones(both: Both) -> None:
    for number in range(3):
        await both.add_both(f"e{number}")
    (mail, *_), (printed, *_) = await both.claim(), await both.claim("print")
    await both.end(mail, "sent")
    await both.end(printed, "sent")
    assert await both.stored_items() == 6
    long_after = datetime.now(UTC) + timedelta(days=1)
    await both.old.prune(long_after, 0)
    left = await both.new.deliveries.newest(10)
    assert sorted(one.channel for one in left) == ["email"] * 2 + ["print"] * 2
    assert {one.status for one in left} == {"pending"}
    # Items are deleted with their deliveries, so these events are new again.
    assert await both.stored_items() == 4
    again = await both.add_both(mail.delivery.item.event_id)
    assert "email" in [one.channel for one in again.deliveries]


async def test_new_nodes_prune_the_deliveries_of_old_ones(both: Both) -> None:
    await both.add_old("old")
    await record(both.new.store, order("new", KIM))
    for claim in await both.claim():
        await both.end(claim, "sent")
    rest = Keep(timedelta(days=365), 1_000)
    pruned = await both.new.retention.prune(Keeping(rest, rest, rest, Keep(timedelta(0), 0)), datetime.now(UTC))
    assert (pruned.deliveries, await both.stored_items(), await both.old.newest()) == (2, 0, [])


async def test_lists_and_counts_of_both_versions_agree_on_mails(both: Both) -> None:
    await both.add_old("old")
    await both.add_both("new")
    assert [row.recipient for row in await both.old.newest()] == [KIM] * 3
    assert await both.old.count("pending") == 2  # of channel email only
    assert await both.new.deliveries.count(DeliveryFilter(status="pending")) == 3
    listed = await both.new.deliveries.newest(10, DeliveryFilter(event_id="new"))
    assert sorted(one.channel for one in listed) == ["email", "print"]
    assert {one.item.event_id for one in listed} == {"new"}
    assert {one.item.origin for one in listed} == {"both"}


async def test_a_delivery_of_an_unknown_format_is_not_claimed(both: Both) -> None:
    await both.add_both("e")
    async with both.database.engine.begin() as connection:
        await connection.execute(text("UPDATE deliveries SET format = 2 WHERE channel = 'print'"))
    assert await both.claim("print") == ()
    assert (await both.one("print")).status == "pending"
