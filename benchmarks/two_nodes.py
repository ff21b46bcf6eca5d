"""Two nodes with Redis, compared with one node without: the same clients and events, distributed evenly."""

from typing import NamedTuple

from benchmarks.loads import CLIENTS, FEED, INBOXES, RECIPIENTS, Load, cpu_time_of
from benchmarks.nodes import Services, client_groups, running_deployment, services
from benchmarks.pace import BURST, STEADY, Pace
from benchmarks.report import Row, alternate


class Cost(NamedTuple):
    """Microseconds of CPU time per delivery: of all nodes together, and of the busiest node. Both are divided by the
    deliveries of all nodes."""

    together: float
    most: float


async def fan_out(rounds: int) -> list[Row]:
    rows = []
    with services() as shared:
        for load, what in ((FEED, "broadcasts"), (INBOXES, f"events for {RECIPIENTS} users each")):
            for pace in (STEADY, BURST):
                rows += await _compared(rounds, shared, load, pace, f"{what}, {pace}")
    return rows


async def _compared(rounds: int, shared: Services, load: Load, pace: Pace, what: str) -> list[Row]:
    one, two = await alternate(rounds, lambda: _cost(shared, load, pace, 1), lambda: _cost(shared, load, pace, 2))
    what = f"{what}, to {CLIENTS:,} WebSockets at two nodes, vs one: CPU per delivery,"
    alone = [cost.together for cost in one]
    return [
        Row(f"{what} both nodes together", "µs", [cost.together for cost in two], alone),
        Row(f"{what} busier node", "µs", [cost.most for cost in two], alone),
    ]


async def _cost(shared: Services, load: Load, pace: Pace, nodes: int) -> Cost:
    async with (
        running_deployment(shared, nodes, joined=nodes > 1, HERALD_PROFILE=load.profile) as deployment,
        client_groups(deployment, [load.request(number) for number in range(CLIENTS)]) as groups,
    ):
        spent = await cpu_time_of(load, pace, deployment, deployment.nodes, groups)
    each = spent.each(load.deliveries(pace)).nodes
    return Cost(sum(each), max(each))
