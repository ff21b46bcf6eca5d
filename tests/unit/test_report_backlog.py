"""The backlog is read at most once in some seconds, and is None while the store is unavailable."""

import asyncio

import pytest
from structlog.testing import capture_logs

from application.operations.report_backlog import BacklogPolicy, ReportBacklog
from application.ports.backlog_counts import PendingDeliveries, Waiting
from application.ports.store import StoreUnavailable
from tests.support.core import HandClock

NOTHING = Waiting({"email": PendingDeliveries()}, 0)


class CountedBacklog:
    """A backlog that counts its calls, and waits or fails on request."""

    def __init__(self) -> None:
        self.calls = 0
        self.limits = (0, 0)
        self.waiting = Waiting({}, 0)
        self.fault: Exception | None = None
        self.gate = asyncio.Event()
        self.gate.set()

    async def count(self, limit: int, examined: int) -> Waiting:
        self.calls += 1
        self.limits = (limit, examined)
        await self.gate.wait()
        if self.fault is not None:
            raise self.fault
        return self.waiting


class Rig:
    def __init__(self, policy: BacklogPolicy | None = None) -> None:
        self.backlog, self.clock = CountedBacklog(), HandClock()
        policy = policy or BacklogPolicy(max_age_s=10, timeout_s=60, limit=7, examined=3)
        self.report = ReportBacklog(self.backlog, self.clock, ["email"], policy)


async def test_channels_without_deliveries_are_part_of_the_result() -> None:
    rig = Rig()
    assert await rig.report() == NOTHING
    assert rig.backlog.limits == (7, 3)


async def test_channels_that_only_other_nodes_have_are_part_of_the_result() -> None:
    rig = Rig()
    rig.backlog.waiting = Waiting({"push": PendingDeliveries(3, 1.5)}, 4)
    assert await rig.report() == Waiting({"email": PendingDeliveries(), "push": PendingDeliveries(3, 1.5)}, 4)


async def test_a_result_is_reused_until_it_is_too_old() -> None:
    rig = Rig()
    await rig.report()
    rig.backlog.waiting = Waiting({}, 5)
    rig.clock.turn(9.9)
    assert await rig.report() == NOTHING
    assert rig.backlog.calls == 1
    rig.clock.turn(0.1)
    assert (await rig.report() or NOTHING).dead_letters == 5
    assert rig.backlog.calls == 2


async def test_concurrent_calls_read_once() -> None:
    rig = Rig()
    rig.backlog.gate.clear()
    calls = [asyncio.create_task(rig.report()) for _ in range(5)]
    await asyncio.sleep(0)
    rig.backlog.gate.set()
    assert await asyncio.gather(*calls) == [NOTHING] * 5
    assert rig.backlog.calls == 1


async def test_a_cancelled_call_does_not_block_the_next() -> None:
    rig = Rig()
    rig.backlog.gate.clear()
    call = asyncio.create_task(rig.report())
    await asyncio.sleep(0)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    rig.backlog.gate.set()
    assert await rig.report() == NOTHING


async def test_without_the_store_there_is_no_result_and_an_old_one_is_not_repeated() -> None:
    rig = Rig()
    await rig.report()
    rig.clock.turn(10)
    rig.backlog.fault = StoreUnavailable("no connection")
    with capture_logs() as logs:
        assert await rig.report() is None
        assert await rig.report() is None
    assert [(line["event"], line["error"], line["exc_info"]) for line in logs] == [
        ("backlog_not_read", "no connection", None)
    ]
    rig.backlog.fault = None
    rig.clock.turn(10)
    assert await rig.report() == NOTHING


async def test_any_other_fault_is_logged_with_its_traceback() -> None:
    rig = Rig()
    rig.backlog.fault = fault = ValueError("a defect")
    with capture_logs() as logs:
        assert await rig.report() is None
    assert logs[0]["exc_info"] is fault


async def test_a_store_that_does_not_answer_counts_as_unavailable() -> None:
    rig = Rig(BacklogPolicy(timeout_s=0.001))
    rig.backlog.gate.clear()
    with capture_logs() as logs:
        assert await rig.report() is None
    assert logs[0]["error"] == "no answer within 0.001 s"
