"""Two nodes with Redis against one node without: the same clients, and the same events, to each node by turns."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import NamedTuple

from benchmarks.clients import Crowd, PlainSocket, crowd
from benchmarks.loads import BURST, CLIENTS, FEED, INBOXES, RECIPIENTS, STEADY, Load, Pace, spent_on
from benchmarks.nodes import Services, Site, services, site
from benchmarks.report import Row, in_turn


class Cost(NamedTuple):
    """Microseconds of processor time a delivery: of all nodes together, and of the one that had most of it."""

    together: float
    most: float


async def fan_out(rounds: int) -> list[Row]:
    rows = []
    with services() as shared:
        for load, what in ((FEED, "broadcasts"), (INBOXES, f"events for {RECIPIENTS} users each")):
            rows += await _compared(rounds, shared, load, STEADY, f"{what}, one every 30 ms")
            rows += await _compared(rounds, shared, load, BURST, f"{what}, {BURST.events:,} at once")
    return rows


async def _compared(rounds: int, shared: Services, load: Load, pace: Pace, what: str) -> list[Row]:
    one, two = await in_turn(rounds, lambda: _cost(shared, load, pace, 1), lambda: _cost(shared, load, pace, 2))
    what = f"{what}, to {CLIENTS:,} WebSockets at two nodes, against one: CPU a delivery of"
    alone = [cost.together for cost in one]
    return [
        Row(f"{what} both", "µs", [cost.together for cost in two], alone),
        Row(f"{what} the busier", "µs", [cost.most for cost in two], alone),
    ]


async def _cost(shared: Services, load: Load, pace: Pace, nodes: int) -> Cost:
    async with (
        site(shared, nodes, joined=nodes > 1, HERALD_PROFILE=load.profile) as at,
        crowds(at, [load.request(number) for number in range(CLIENTS)]) as everyone,
    ):
        spent = await spent_on(load, pace, at, at.nodes, everyone)
    each = spent.each(load.deliveries(pace)).nodes
    return Cost(sum(each), max(each))


@asynccontextmanager
async def crowds(at: Site, requests: Sequence[bytes]) -> AsyncIterator[list[Crowd]]:
    """Plain sockets, dealt out to the nodes by turns."""
    async with AsyncExitStack() as stack:
        count = len(at.nodes)
        yield [
            await stack.enter_async_context(crowd(node.port, PlainSocket, requests[first::count]))
            for first, node in enumerate(at.nodes)
        ]
