"""How late events arrive while the routes are reloaded: the slowest of them on its way from the request to a socket."""

import asyncio
import json
import tempfile
from itertools import count
from pathlib import Path
from typing import Final

from benchmarks.clients import PlainSocket, client_group, socket_request, stamped
from benchmarks.pace import at_intervals
from benchmarks.report import Row, alternate
from benchmarks.servers import Server, herald

CLIENTS: Final = 100
MESSAGES: Final = 500
WARM_UP: Final = 50
INTERVAL_S: Final = 0.02
MESSAGE_BYTES: Final = 200
TIMEOUT_S: Final = 120.0

# A reload reads the files twice, 0.2 s apart.
RELOAD_EVERY_S: Final = 1.0

SOURCES: Final = 50
ROUTES_OF_A_SOURCE: Final = 4

_HEAD: Final = """
profile = "signals"
broker = "memory"
[feeds.signals]
access = "public"
[[routes]]
source = "trading_signals"
feed = "signals"
envelope = "raw"
"""
_ROUTE: Final = """
[[routes]]
source = "helpdesk.{source}.{number}"
users = ["watchers"]
omit = ["watchers"]
inbox = {{ title = "{{subject}} {version}", message = "{{author}} wrote {{excerpt}}" }}
"""


def routes(version: int) -> str:
    """Returns a routes file with 200 routes whose titles are different in each version, and that of the messages."""
    return _HEAD + "".join(
        _ROUTE.format(source=source, number=number, version=version)
        for source in range(SOURCES)
        for number in range(ROUTES_OF_A_SOURCE)
    )


async def latency(rounds: int) -> list[Row]:
    without, during = await alternate(rounds, lambda: _slowest(reloading=False), lambda: _slowest(reloading=True))
    what = f"slowest of {MESSAGES:,} events to {CLIENTS} sockets, 200 routes reloaded every second, vs no reload"
    return [Row(what, "ms", during, without, "≤", 100.0, "value")]


async def _slowest(*, reloading: bool) -> float:
    """Returns the milliseconds from posting a message until a client has it, for the slowest message and client."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "routes.toml"
        file.write_text(routes(0))
        requests = [socket_request(Server.path)] * CLIENTS
        async with (
            herald(HERALD_ROUTES=str(file)) as server,
            client_group(server.port, PlainSocket, requests) as clients,
        ):
            clients.expect(WARM_UP)
            await _post(server, WARM_UP)
            await clients.all_received(TIMEOUT_S)
            latencies: list[float] = []
            clients.progress.latencies = latencies
            clients.expect(MESSAGES)
            reloads = asyncio.create_task(_reload(server, file)) if reloading else None
            await _post(server, MESSAGES)
            await clients.all_received(TIMEOUT_S)
            if reloads is not None:
                reloads.cancel()
                await _check_reloaded(server)
    return max(latencies) * 1e3


async def _post(server: Server, messages: int) -> None:
    # Not awaited one by one: a request that takes long must not delay the next one.
    posting = [
        asyncio.create_task(server.broadcast(server.bodies([stamped(MESSAGE_BYTES)])))
        async for _ in at_intervals(messages, INTERVAL_S)
    ]
    await asyncio.gather(*posting)


async def _reload(server: Server, file: Path) -> None:
    for version in count(1):
        new = file.with_suffix(".new")
        new.write_text(routes(version))
        new.rename(file)
        server.reload()
        await asyncio.sleep(RELOAD_EVERY_S)


async def _check_reloaded(server: Server) -> None:
    """Raises RuntimeError unless the server has reloaded at least half as often as it was asked to."""
    expected = MESSAGES * INTERVAL_S / RELOAD_EVERY_S / 2
    results = await _reloads(server)
    if results.keys() - {"reloaded"} or results.get("reloaded", 0) < expected:
        raise RuntimeError(f"reloads by result: {results}, expected at least {expected:g} reloaded")


async def _reloads(server: Server) -> dict[str, int]:
    _, body = await server.request("GET", "/metrics")
    counted: dict[str, int] = json.loads(body)["routesReloads"]
    return counted
