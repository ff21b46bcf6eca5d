"""Reloading routes: what is refused, what is replaced, and in which order."""

import asyncio
import threading
from collections.abc import Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from structlog.testing import capture_logs

from adapters.kafka.registration import KAFKA
from adapters.memory.broker import MemoryBroker
from adapters.rabbitmq.registration import RABBITMQ
from application.counters import Counters
from application.operations.reload_routes import ReloadPolicy, ReloadRequests, ReloadRoutes
from application.ports.event_source import EventSource
from application.ports.store import StoreUnavailable
from application.routes_in_force import RoutesInForce
from domain.route_changes import reasons_to_restart
from domain.route_table import RouteTable
from domain.routes import RoutesInvalid
from domain.routes_version import version_of
from tests.support.core import table
from tests.support.reading import until

BROKERS = (KAFKA.name, RABBITMQ.name)
QUICK = ReloadPolicy(settle_s=0.0)

SHOP = """
profile = "shop"
[[endpoints]]
name = "shop"
path = "/ws/shop"
transport = "ws"
user = "query:user"
inbox = "all"
[[routes]]
source = "order"
users = ["to"]
inbox = { title = "old" }
"""
OTHER_TITLE = SHOP.replace('"old"', '"new"')


def route(source: str) -> str:
    return f'[[routes]]\nsource = "{source}"\nusers = ["to"]\n'


class Files:
    """Routes files: each call of `load` returns or raises the next outcome; the last one is repeated."""

    def __init__(self, *outcomes: str | Exception) -> None:
        self.outcomes = list(outcomes)
        self.ignored: tuple[str, ...] = ()
        self.threads: set[int] = set()
        self.reads = 0
        self.entered = False
        self.gate = threading.Event()
        self.gate.set()

    def load(self) -> RouteTable:
        self.entered = True
        self.gate.wait(10)
        self.threads.add(threading.get_ident())
        self.reads += 1
        outcome = self.outcomes.pop(0) if len(self.outcomes) > 1 else self.outcomes[0]
        if isinstance(outcome, Exception):
            raise outcome
        return table(outcome)

    def ignored_files(self) -> tuple[str, ...]:
        return self.ignored


class Source(MemoryBroker):
    def __init__(self, name: str, did: list[Any]) -> None:
        super().__init__()
        self.name = name
        self._did = did

    def change_patterns(self, patterns: Sequence[str]) -> None:
        self._did.append((self.name, tuple(patterns)))


class Bindings:
    """Stands for KeepBindings."""

    def __init__(self, did: list[Any]) -> None:
        self._did = did
        self.fault: Exception | None = None

    async def claim(self, source: EventSource, patterns: Sequence[str]) -> None:
        if self.fault is not None:
            raise self.fault
        self._did.append(("claim", source.name, tuple(patterns)))

    async def bind_added(self, source: EventSource) -> None:
        self._did.append(("bind", source.name))


class Rig:
    """A node with these routes, and files with others. `did` has the steps of reloads, in order."""

    def __init__(self, *outcomes: str | Exception, running: str = SHOP, override: str | None = None) -> None:
        self.did: list[Any] = []
        self.files = Files(*outcomes)
        self.routes = RoutesInForce(table(running))
        self.requests = ReloadRequests()
        self.counters = Counters()
        self.bindings: Any = Bindings(self.did)
        sources = [Source(name, self.did) for name in ("memory", *BROKERS)]
        recheck: Any = self.recheck
        self.reload = ReloadRoutes(
            self.requests, self.files, self.routes, sources, self.bindings, recheck, self.counters, BROKERS, override,
            QUICK,
        )  # fmt: skip

    async def recheck(self) -> int:
        self.did.append(("recheck", self.routes.version))
        return 0

    async def run(self) -> list[dict[str, Any]]:
        """Reload once. Returns the log lines."""
        with capture_logs() as logs:
            await self.reload()
        return [dict(line) for line in logs]

    async def error(self) -> str:
        """Reload once, which must be refused. Returns the reason."""
        before = self.routes.table
        (line,) = await self.run()
        assert (line["event"], line["log_level"]) == ("routes_reload_refused", "warning")
        assert self.routes.table is before
        assert self.did == []
        return str(line["error"])


async def test_other_routes_are_put_in_force_and_sessions_are_checked() -> None:
    rig = Rig(OTHER_TITLE)
    before = rig.routes.version
    (line,) = await rig.run()
    assert rig.routes.table.routes[0].inbox.title == "new"
    assert rig.routes.version == version_of(table(OTHER_TITLE)) != before
    assert (line["event"], line["version"], line["previous_version"]) == ("routes_reloaded", rig.routes.version, before)
    assert (line["added"], line["removed"], line["changed_routes"]) == ([], [], ["shop/1"])
    assert rig.did == [("recheck", rig.routes.version)]
    assert rig.counters.reloads == {"reloaded": 1}


async def test_files_in_a_folder_that_are_not_read_are_named_in_warnings() -> None:
    rig = Rig(OTHER_TITLE)
    rig.files.ignored = ("routes.d/shop.toml~",)
    *_, line = await rig.run()
    assert (line["event"], line["file"], line["log_level"]) == ("routes_file_ignored", "routes.d/shop.toml~", "warning")


async def test_files_are_read_outside_the_event_loop() -> None:
    rig = Rig(OTHER_TITLE)
    await rig.run()
    assert threading.get_ident() not in rig.files.threads


async def test_an_invalid_file_is_refused_and_the_routes_in_force_stay() -> None:
    rig = Rig(RoutesInvalid("shop.toml: route 1: users: this is wrong"))
    assert await rig.error() == "shop.toml: route 1: users: this is wrong"
    assert rig.counters.reloads == {"refused": 1}


async def test_a_file_that_is_being_written_is_read_again_until_it_is_complete() -> None:
    rig = Rig(RoutesInvalid("this is not TOML"), SHOP, OTHER_TITLE, OTHER_TITLE)
    await rig.run()
    assert rig.routes.table.routes[0].inbox.title == "new"
    assert rig.files.reads == 4


async def test_files_that_change_at_every_read_are_refused() -> None:
    rig = Rig(*(SHOP.replace("old", str(number)) for number in range(50)))
    assert "change while they are read" in await rig.error()


async def test_a_defect_is_logged_and_the_routes_in_force_stay() -> None:
    rig = Rig(ZeroDivisionError("oops"))
    (line,) = await rig.run()
    assert line["event"] == "routes_reload_failed"
    assert rig.routes.version == version_of(table(SHOP))
    assert rig.counters.reloads == {"failed": 1}


async def test_changed_sources_are_claimed_before_and_bound_after_the_new_routes_are_in_force() -> None:
    rig = Rig(SHOP.replace('source = "order"', 'source = "invoice"') + route("order.#"))
    (line,) = await rig.run()
    patterns = ("invoice", "order.#")
    assert rig.did == [
        ("claim", "kafka", patterns),
        ("kafka", patterns),
        ("bind", "kafka"),
        ("recheck", rig.routes.version),
    ]
    assert (line["added"], line["removed"]) == (["invoice", "order.#"], ["order"])


async def test_sources_in_another_order_are_not_changed() -> None:
    rig = Rig(SHOP.replace("[[routes]]", route("b") + "[[routes]]", 1), running=SHOP + route("b"))
    await rig.run()
    assert rig.did == [("recheck", rig.routes.version)]


async def test_bindings_that_cannot_be_recorded_refuse_the_reload() -> None:
    rig = Rig(SHOP + route("b"))
    rig.bindings.fault = StoreUnavailable("it is away")
    assert await rig.error() == "it is away"


@pytest.mark.parametrize(
    ("new", "reason"),
    [
        (SHOP.replace('"/ws/shop"', '"/ws/shops"'), "profile shop: endpoint 'shop' has changed"),
        (SHOP.replace('name = "shop"', 'name = "store"'), "profile shop: endpoint 'store' was added"),
        (SHOP[: SHOP.index("[[endpoints")] + SHOP[SHOP.index("[[routes") :], "endpoint 'shop' was removed"),
        (SHOP.replace('"shop"\n', '"shop"\nbroker = "rabbitmq"\n', 1), "broker: it has changed from 'kafka'"),
        (SHOP.replace('"shop"\n', '"shop"\nbroker = "rabbitmq"\n', 1), "this process does not read 'rabbitmq'"),
        (SHOP.replace('"shop"\n', '"shop"\nbroker = "memory"\n', 1), "no route uses the broker 'kafka' any more"),
    ],
)
async def test_changes_that_need_a_restart_are_refused(new: str, reason: str) -> None:
    error = await Rig(new).error()
    assert reason in error
    assert error.endswith(": restart the node to apply this")


async def test_the_broker_of_a_profile_may_change_if_a_setting_overrides_it() -> None:
    rig = Rig(SHOP.replace('"shop"\n', '"shop"\nbroker = "rabbitmq"\n', 1), override="kafka")
    await rig.run()
    assert rig.counters.reloads == {"reloaded": 1}


def test_a_profile_may_be_added_at_a_broker_that_is_read() -> None:
    (shop,) = table(SHOP).profiles
    (more,) = table('profile = "more"\n' + route("x")).profiles
    assert reasons_to_restart(RouteTable((shop,)), RouteTable((shop, more)), BROKERS, None) == []


@asynccontextmanager
async def running(rig: Rig) -> Any:
    await rig.reload.start()
    try:
        yield
    finally:
        await rig.reload.stop()


async def count_is(rig: Rig, number: int) -> None:
    reached: Callable[[], bool] = lambda: rig.counters.reloads["reloaded"] == number  # noqa: E731
    await until(reached, what=lambda: rig.counters.reloads)


async def test_requests_before_the_start_and_at_once_lead_to_one_reload() -> None:
    rig = Rig(OTHER_TITLE)
    for _ in range(3):
        rig.requests.add()
    async with running(rig):
        await count_is(rig, 1)
        await asyncio.sleep(0)
        assert rig.files.reads == 2


async def test_a_request_during_a_reload_leads_to_another_one() -> None:
    rig = Rig(SHOP, SHOP, OTHER_TITLE)
    rig.files.gate.clear()
    async with running(rig):
        rig.requests.add()
        await until(lambda: rig.files.entered)
        rig.requests.add()
        rig.requests.add()
        rig.files.gate.set()
        await count_is(rig, 2)
    assert rig.routes.table.routes[0].inbox.title == "new"


async def test_a_stopped_node_reloads_no_more() -> None:
    rig = Rig(OTHER_TITLE)
    async with running(rig):
        await rig.reload.drain(1.0)
        rig.requests.add()
        await asyncio.sleep(0.01)
    assert rig.files.reads == 0
    assert rig.did == []
