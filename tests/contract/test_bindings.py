"""The Bindings port, on every adapter."""

import asyncio
from collections.abc import Sequence
from datetime import datetime

import pytest

from application.ports.bindings import Binding, NotChanged, QueueName, RecordedBinding
from tests.support.core import NOW
from tests.support.stores import Stores, later

QUEUE = QueueName("/", "orders")
CREATED = Binding("shop", "order.created")
UPDATED = Binding("shop", "order.*.updated")
OTHER_EXCHANGE = Binding("warehouse", "order.created")


class Broker:
    """Records the bindings that it was asked to remove, in order. The first `failures` calls fail."""

    def __init__(self, failures: int = 0) -> None:
        self.unbound: list[Binding] = []
        self.failures = failures
        self.gate = asyncio.Event()
        self.gate.set()
        self.asked = asyncio.Event()

    async def unbind(self, bindings: Sequence[Binding]) -> None:
        self.asked.set()
        await self.gate.wait()
        if self.failures:
            self.failures -= 1
            raise NotChanged("not connected")
        self.unbound += bindings


async def recorded(stores: Stores, queue: QueueName = QUEUE) -> dict[Binding, tuple[datetime, datetime | None]]:
    """Map each binding to the times at which it was last wanted and last claimed."""
    return {one.binding: (one.wanted_at, one.claimed_at) for one in await stores.bindings.recorded(queue)}


async def test_there_are_no_records_at_first(stores: Stores) -> None:
    assert await stores.bindings.recorded(QUEUE) == ()
    assert await stores.bindings.remove(QUEUE, later(0), Broker().unbind) == ()


async def test_a_wanted_binding_is_new_only_once(stores: Stores) -> None:
    assert await stores.bindings.renew("a", QUEUE, [CREATED, UPDATED], NOW) == {CREATED, UPDATED}
    assert await stores.bindings.renew("a", QUEUE, [CREATED, UPDATED], later(60)) == frozenset()
    assert await stores.bindings.renew("b", QUEUE, [CREATED, OTHER_EXCHANGE], later(61)) == {OTHER_EXCHANGE}
    assert await recorded(stores) == {
        CREATED: (later(61), later(61)),
        UPDATED: (later(60), later(60)),
        OTHER_EXCHANGE: (later(61), later(61)),
    }


async def test_a_record_has_the_fields_of_the_port(stores: Stores) -> None:
    await stores.bindings.renew("a", QUEUE, [CREATED], NOW)
    assert await stores.bindings.recorded(QUEUE) == (RecordedBinding(CREATED, NOW, NOW),)


async def test_a_node_that_restarts_without_a_binding_releases_its_claim(stores: Stores) -> None:
    await stores.bindings.renew("a", QUEUE, [CREATED, UPDATED], NOW)
    await stores.bindings.renew("a", QUEUE, [UPDATED], later(60))
    assert await recorded(stores) == {CREATED: (NOW, None), UPDATED: (later(60), later(60))}
    # The node may claim it again later.
    assert await stores.bindings.renew("a", QUEUE, [CREATED, UPDATED], later(120)) == frozenset()
    assert (await recorded(stores))[CREATED] == (later(120), later(120))


async def test_a_claim_of_another_node_remains(stores: Stores) -> None:
    await stores.bindings.renew("a", QUEUE, [CREATED], NOW)
    await stores.bindings.renew("b", QUEUE, [CREATED], later(30))
    await stores.bindings.renew("b", QUEUE, [], later(60))
    assert await recorded(stores) == {CREATED: (later(30), NOW)}


async def test_records_are_separate_for_each_queue(stores: Stores) -> None:
    others = (QueueName("/", "other"), QueueName("shop", "orders"))
    for queue in (QUEUE, *others):
        assert await stores.bindings.renew("a", queue, [CREATED], NOW) == {CREATED}
    await stores.bindings.renew("a", QUEUE, [], later(60))
    broker = Broker()
    assert await stores.bindings.remove(QUEUE, later(1), broker.unbind) == (CREATED,)
    for queue in others:
        assert await recorded(stores, queue) == {CREATED: (NOW, NOW)}


async def test_bindings_that_no_node_wanted_since_the_given_time_are_removed(stores: Stores) -> None:
    await stores.bindings.renew("a", QUEUE, [CREATED, UPDATED, OTHER_EXCHANGE], NOW)
    await stores.bindings.renew("b", QUEUE, [UPDATED], later(60))
    broker = Broker()
    assert set(await stores.bindings.remove(QUEUE, later(30), broker.unbind)) == {CREATED, OTHER_EXCHANGE}
    assert sorted(broker.unbound) == [CREATED, OTHER_EXCHANGE]
    assert await recorded(stores) == {UPDATED: (later(60), later(60))}
    # The binding is new to the node that wants it again.
    assert await stores.bindings.renew("c", QUEUE, [CREATED], later(120)) == {CREATED}


@pytest.mark.parametrize("seconds", [0, -1])
async def test_bindings_wanted_at_that_time_or_later_are_kept(stores: Stores, seconds: float) -> None:
    await stores.bindings.renew("a", QUEUE, [CREATED], NOW)
    broker = Broker()
    assert await stores.bindings.remove(QUEUE, later(seconds), broker.unbind) == ()
    assert broker.unbound == []


async def test_a_binding_that_failed_to_unbind_stays_on_record(stores: Stores) -> None:
    await stores.bindings.renew("a", QUEUE, [CREATED], NOW)
    broker = Broker(failures=1)
    with pytest.raises(NotChanged):
        await stores.bindings.remove(QUEUE, later(1), broker.unbind)
    assert await recorded(stores) == {CREATED: (NOW, NOW)}
    assert await stores.bindings.remove(QUEUE, later(1), broker.unbind) == (CREATED,)


async def test_a_renewal_waits_for_a_concurrent_removal(stores: Stores) -> None:
    """The renewal returns after the removal is finished, and reports the binding as missing."""
    await stores.bindings.renew("a", QUEUE, [CREATED], NOW)
    broker = Broker()
    broker.gate.clear()
    removing = asyncio.create_task(stores.bindings.remove(QUEUE, later(1), broker.unbind))
    await broker.asked.wait()
    renewing = asyncio.create_task(stores.bindings.renew("b", QUEUE, [CREATED], later(2)))
    await asyncio.sleep(0.2)
    assert not renewing.done()
    broker.gate.set()
    assert await removing == (CREATED,)
    assert await renewing == {CREATED}
    assert await recorded(stores) == {CREATED: (later(2), later(2))}


async def test_a_concurrent_renewal_and_removal_agree(stores: Stores) -> None:
    await stores.bindings.renew("a", QUEUE, [CREATED], NOW)
    broker = Broker()
    removed, missing = await asyncio.gather(
        stores.bindings.remove(QUEUE, later(1), broker.unbind),
        stores.bindings.renew("b", QUEUE, [CREATED], later(2)),
    )
    # In either order, exactly the bindings that were unbound are reported as missing.
    assert (removed, tuple(broker.unbound), missing) in (((CREATED,), (CREATED,), {CREATED}), ((), (), frozenset()))
    assert CREATED in await recorded(stores)


async def test_concurrent_renewals_of_many_nodes_report_each_binding_as_new_once(stores: Stores) -> None:
    wanted = [Binding("shop", f"key.{number}") for number in range(100)]
    missing = await asyncio.gather(*(stores.bindings.renew(f"node-{n}", QUEUE, wanted, NOW) for n in range(10)))
    assert sorted(binding for new in missing for binding in new) == sorted(wanted)
    assert len(await stores.bindings.recorded(QUEUE)) == 100


async def test_needs_are_those_of_the_last_renewal_of_each_node(stores: Stores) -> None:
    bindings = stores.bindings
    assert await bindings.needs(QUEUE, NOW) == {}
    await bindings.renew("a", QUEUE, [CREATED, UPDATED], NOW)
    await bindings.renew("b", QUEUE, [OTHER_EXCHANGE], later(30))
    await bindings.renew("b", QueueName("/", "other"), [UPDATED], later(30))
    assert await bindings.needs(QUEUE, NOW) == {"a": {CREATED, UPDATED}, "b": {OTHER_EXCHANGE}}
    assert await bindings.needs(QUEUE, later(30)) == {"b": {OTHER_EXCHANGE}}
    await bindings.renew("a", QUEUE, [CREATED], later(60))
    assert await bindings.needs(QUEUE, NOW) == {"a": {CREATED}, "b": {OTHER_EXCHANGE}}
