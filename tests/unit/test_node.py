"""The lists of a node: services start, drain and stop in order; checks are reported in the order of their list."""

import asyncio

import pytest

from application.operations.background_task import BackgroundTask
from application.operations.health import HealthPolicy, ReportHealth
from application.operations.node import Node
from application.ports.health_check import CheckResult
from application.ports.service import Phase, Service
from tests.support.core import HandClock


class Recorded(Service):
    """Records its calls, and the time that a drain is given."""

    def __init__(self, name: str, phase: Phase, calls: list[str], clock: HandClock | None = None) -> None:
        self.name = name
        self.phase = phase
        self.clock = clock
        self._calls = calls

    async def start(self) -> None:
        self._calls.append(f"start {self.name}")

    def begin_drain(self) -> None:
        self._calls.append(f"begin {self.name}")

    async def drain(self, seconds: float) -> None:
        self._calls.append(f"drain {self.name} {seconds:g}")
        if self.clock is not None:
            self.clock.turn(seconds)

    async def stop(self) -> None:
        self._calls.append(f"stop {self.name}")


class Held(Recorded):
    """A service whose drain lasts until `released` is set."""

    def __init__(self, name: str, phase: Phase, calls: list[str]) -> None:
        super().__init__(name, phase, calls)
        self.released = asyncio.Event()

    async def drain(self, seconds: float) -> None:
        await super().drain(seconds)
        await self.released.wait()
        self._calls.append(f"drained {self.name}")


def services(calls: list[str], *names: str, clock: HandClock | None = None) -> list[Service]:
    """Return recording services in the given order. The first letter of a name determines its phase."""
    phases = {phase.name[0]: phase for phase in Phase}
    return [Recorded(name, phases[name[0].upper()], calls, clock) for name in names]


async def test_services_start_by_phase_and_in_list_order_and_stop_in_reverse() -> None:
    calls: list[str] = []
    node = Node(services(calls, "ingest-1", "delivery", "prepare", "live", "maintain", "ingest-2"), HandClock())
    await node.start()
    started = ["live", "maintain", "delivery", "prepare", "ingest-1", "ingest-2"]
    assert calls == [f"start {name}" for name in started]
    calls.clear()
    await node.stop()
    assert calls == [f"stop {name}" for name in ("ingest-1", "ingest-2", "prepare", "delivery", "maintain", "live")]


async def test_a_drain_refuses_sessions_first_then_stops_ingest_then_the_sessions() -> None:
    calls: list[str] = []
    clock = HandClock()
    node = Node(services(calls, "live", "ingest", "maintain", clock=clock), clock)
    await node.drain(10)
    assert calls[:3] == ["begin live", "begin maintain", "begin ingest"]
    assert calls[3:] == ["drain ingest 5", "drain live 5"]


async def test_deliveries_have_the_whole_drain_time_and_delay_neither_ingest_nor_sessions() -> None:
    calls: list[str] = []
    held = Held("delivery", Phase.DELIVERY, calls)
    node = Node([*services(calls, "live", "ingest"), held], HandClock())
    draining = asyncio.create_task(node.drain(10))
    while "drain live 10" not in calls:
        await asyncio.sleep(0)
    assert "drain delivery 10" in calls
    assert not draining.done()
    held.released.set()
    await draining
    assert calls[-1] == "drained delivery"


async def test_sessions_have_half_a_second_even_if_ingest_used_the_whole_drain_time() -> None:
    calls: list[str] = []
    clock = HandClock()
    (live,) = services(calls, "live")
    node = Node([live, Slow("ingest", Phase.INGEST, calls, clock)], clock)
    await node.drain(10)
    assert calls[-1] == "drain live 0.5"


class Slow(Recorded):
    """A service whose drain takes four times the time that it is given."""

    async def drain(self, seconds: float) -> None:
        await super().drain(4 * seconds)


async def test_a_background_task_runs_until_it_is_stopped() -> None:
    ended = asyncio.Event()
    running = asyncio.Event()

    async def run() -> None:
        running.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    task = BackgroundTask("work", run)
    await task.stop()  # no-op
    await task.start()
    await running.wait()
    await task.stop()
    assert ended.is_set()


class Fixed:
    """A check with a fixed result, or one that raises its result."""

    def __init__(self, name: str, result: CheckResult | Exception) -> None:
        self.name = name
        self.result = result

    async def __call__(self) -> CheckResult:
        if isinstance(self.result, Exception):
            raise self.result
        return self.result


class Hanging(Fixed):
    async def __call__(self) -> CheckResult:
        await asyncio.Event().wait()
        return CheckResult(True)


OK = CheckResult(True)


async def test_checks_are_reported_by_name_in_order() -> None:
    health = await ReportHealth([Fixed("b", OK), Fixed("a", CheckResult(True, "fine"))], [])()
    assert list(health.checks.items()) == [("b", OK), ("a", CheckResult(True, "fine"))]
    assert (health.ready, health.degraded) == (True, False)


async def test_a_failed_check_degrades_the_node_and_a_failed_vital_one_makes_it_unready() -> None:
    health = await ReportHealth([Fixed("a", OK), Fixed("b", CheckResult(False, vital=False))], [])()
    assert (health.ready, health.degraded) == (True, True)
    health = await ReportHealth([Fixed("a", CheckResult(False)), Fixed("b", CheckResult(False, vital=False))], [])()
    assert (health.ready, health.degraded) == (False, False)


@pytest.mark.parametrize(("error", "detail"), [(OSError("refused"), "refused"), (KeyError(), "KeyError")])
async def test_a_check_that_raises_has_failed(error: Exception, detail: str) -> None:
    health = await ReportHealth([Fixed("a", error), Fixed("b", OK)], [])()
    assert health.checks == {"a": CheckResult(False, detail), "b": OK}
    assert not health.ready


async def test_a_check_that_times_out_has_failed() -> None:
    report = ReportHealth([Hanging("a", OK), Fixed("b", OK)], [], HealthPolicy(timeout_s=0.01))
    health = await report()
    assert health.checks == {"a": CheckResult(False, "no answer within 0.01 s"), "b": OK}
