"""The loads that are published to several nodes, and their CPU time."""

import json
import time
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from benchmarks.clients import ClientGroup, socket_request, stamped
from benchmarks.nodes import CpuTime, Deployment
from benchmarks.pace import Pace, at_intervals
from benchmarks.servers import Server

CLIENTS: Final = 1_000

WARM_UP: Final = 50

# The seconds for which the idle load is measured, to be subtracted: the time of five comparisons of all streams with
# the store, and of five self-tests of the backplane.
IDLE_S: Final = 5.0

# The number of recipients of an event for users.
RECIPIENTS: Final = 20

TIMEOUT_S: Final = 60.0


class Load(NamedTuple):
    """`event` makes the event of a number, `request` the handshake of the client of a number. Each client receives one
    event in `share`."""

    profile: str
    event: Callable[[int], str]
    request: Callable[[int], bytes]
    share: int

    def deliveries(self, pace: Pace) -> int:
        """Returns the number of deliveries to all CLIENTS clients."""
        return CLIENTS * pace.events // self.share


def _signal(_: int) -> str:
    return f'{{"source":"trading_signals","payload":{stamped(200)}}}'


def _alert(number: int) -> str:
    users = [f"u-{(number * RECIPIENTS + other) % CLIENTS}" for other in range(RECIPIENTS)]
    payload = {"user_id": users, "severity": "high", "message": "Position limit is near"}
    return json.dumps({"source": "risk-events", "payload": payload})


def _inbox(number: int) -> bytes:
    return socket_request(f"/ws?user_id=u-{number}")


FEED: Final = Load("signals", _signal, lambda _: socket_request(Server.path), 1)
INBOXES: Final = Load("trading", _alert, _inbox, CLIENTS // RECIPIENTS)


async def cpu_time_of(
    load: Load, pace: Pace, deployment: Deployment, publishers: Sequence[Server], groups: Sequence[ClientGroup]
) -> CpuTime:
    """The CPU time of publishing a load to these nodes alternately, beyond the idle load and after a warm-up."""
    await _publish(load, Pace(WARM_UP, 1, pace.seconds), publishers, groups)
    quiet = await deployment.cpu_time_in(IDLE_S)
    before, began = deployment.cpu_time(), time.perf_counter()
    await _publish(load, pace, publishers, groups)
    cpu_time, took = deployment.cpu_time().minus(before), time.perf_counter() - began
    return cpu_time.minus(quiet.times(took / IDLE_S))


async def _publish(load: Load, pace: Pace, publishers: Sequence[Server], groups: Sequence[ClientGroup]) -> None:
    """Publishes the load to the nodes alternately. Returns when all clients have received everything."""
    for group in groups:
        group.expect(pace.events // load.share)
    async for number in at_intervals(pace.events // pace.together, pace.seconds):
        events = map(load.event, range(number * pace.together, (number + 1) * pace.together))
        await publishers[number % len(publishers)].post(f"[{','.join(events)}]".encode())
    for group in groups:
        await group.all_received(TIMEOUT_S)
