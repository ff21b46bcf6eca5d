"""What is published to several nodes, and what it costs each of them."""

import json
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from benchmarks.clients import Crowd, socket_request, stamped
from benchmarks.nodes import Site, Spent
from benchmarks.pace import steadily
from benchmarks.servers import Server

CLIENTS: Final = 1_000

WARM_UP: Final = 50

# Users that an event is for, where it is not for all.
RECIPIENTS: Final = 20

PATIENCE: Final = 60.0


class Pace(NamedTuple):
    """So many events, so many of them in a request, and a request every so many seconds."""

    events: int
    together: int
    seconds: float


STEADY: Final = Pace(200, 1, 0.03)
BURST: Final = Pace(1_000, 100, 0.0)


class Load(NamedTuple):
    """What is published, by the number of the event, and who listens, by the number of the client. Each client gets one
    of `share` events."""

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
INBOXES: Final = Load(
    "trading", _alert, lambda number: socket_request(f"/ws?user_id=u-{number}"), CLIENTS // RECIPIENTS
)


async def spent_on(load: Load, pace: Pace, at: Site, publishers: Sequence[Server], everyone: Sequence[Crowd]) -> Spent:
    """The processor time of this, published to these nodes by turns. What every path does first has been done
    before."""
    for events in (WARM_UP, pace.events):
        for some in everyone:
            some.expect(events // load.share)
        before = at.spent()
        together = min(pace.together, events)
        async for number in steadily(events // together, pace.seconds):
            some_events = map(load.event, range(number * together, (number + 1) * together))
            await publishers[number % len(publishers)].post(f"[{','.join(some_events)}]".encode())
        for some in everyone:
            await some.all_received(PATIENCE)
    return at.spent().since(before)
