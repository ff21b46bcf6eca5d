"""Two nodes with Redis against one node without: the same clients, and the same events, to each node by turns."""

from typing import NamedTuple

from benchmarks.loads import CLIENTS, FEED, INBOXES, RECIPIENTS, Load, spent_on
from benchmarks.nodes import Services, crowds, services, site
from benchmarks.pace import BURST, STEADY, Pace
from benchmarks.report import Row, in_turn


class Cost(NamedTuple):
    """Microseconds of processor time by all deliveries: of all nodes together, and of the one that had most of it."""

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
    one, two = await in_turn(rounds, lambda: _cost(shared, load, pace, 1), lambda: _cost(shared, load, pace, 2))
    what = f"{what}, to {CLIENTS:,} WebSockets at two nodes, against one: CPU by all deliveries, of"
    alone = [cost.together for cost in one]
    return [
        Row(f"{what} both nodes", "µs", [cost.together for cost in two], alone),
        Row(f"{what} the busier one", "µs", [cost.most for cost in two], alone),
    ]


async def _cost(shared: Services, load: Load, pace: Pace, nodes: int) -> Cost:
    async with (
        site(shared, nodes, joined=nodes > 1, HERALD_PROFILE=load.profile) as at,
        crowds(at, [load.request(number) for number in range(CLIENTS)]) as everyone,
    ):
        spent = await spent_on(load, pace, at, at.nodes, everyone)
    each = spent.each(load.deliveries(pace)).nodes
    return Cost(sum(each), max(each))
