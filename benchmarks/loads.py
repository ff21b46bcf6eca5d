"""What is published to several nodes, and what it costs each of them."""

import json
import time
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from benchmarks.clients import Crowd, socket_request, stamped
from benchmarks.nodes import Site, Spent
from benchmarks.pace import Pace, steadily
from benchmarks.servers import Server

CLIENTS: Final = 1_000

WARM_UP: Final = 50

# Seconds in which nothing happens are compared with: five comparisons with the store, and as many beats.
QUIET: Final = 5.0

# Users that an event is for, where it is not for all.
RECIPIENTS: Final = 20

PATIENCE: Final = 60.0


class Load(NamedTuple):
    """What is published, by the number of the event, and who listens, by the number of the client. Each client gets one
    event in `share`."""

    profile: str
    event: Callable[[int], str]
    request: Callable[[int], bytes]
    share: int

    def deliveries(self, pace: Pace) -> int:
        """All that CLIENTS clients get."""
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


async def spent_on(load: Load, pace: Pace, at: Site, publishers: Sequence[Server], everyone: Sequence[Crowd]) -> Spent:
    """The processor time of this, published to these nodes by turns, beyond what they have without it. What every path
    does first has been done before."""
    await _publish(load, Pace(WARM_UP, 1, pace.seconds), publishers, everyone)
    quiet = await at.spent_in(QUIET)
    before, began = at.spent(), time.perf_counter()
    await _publish(load, pace, publishers, everyone)
    spent, took = at.spent().minus(before), time.perf_counter() - began
    return spent.minus(quiet.times(took / QUIET))


async def _publish(load: Load, pace: Pace, publishers: Sequence[Server], everyone: Sequence[Crowd]) -> None:
    """Returns once all clients have all of it."""
    for some in everyone:
        some.expect(pace.events // load.share)
    async for number in steadily(pace.events // pace.together, pace.seconds):
        events = map(load.event, range(number * pace.together, (number + 1) * pace.together))
        await publishers[number % len(publishers)].post(f"[{','.join(events)}]".encode())
    for some in everyone:
        await some.all_received(PATIENCE)
