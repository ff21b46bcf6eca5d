"""The command line of the benchmarks."""

import argparse
import gc
import sys
from collections.abc import Awaitable, Callable
from typing import Final

import uvloop

from benchmarks import (
    across,
    broker,
    costs,
    fan_out,
    idle,
    inbox,
    kafka,
    mail,
    memory,
    nodes,
    rabbitmq,
    resume,
    store,
    two_nodes,
)
from benchmarks.report import Row, machine, note, print_table
from benchmarks.servers import settle_here

Benchmark = Callable[[int], Awaitable[list[Row]]]

BENCHMARKS: Final[dict[str, Benchmark]] = {
    "burst": fan_out.burst,
    "paced": fan_out.paced,
    "burst-protocol": fan_out.burst_protocol,
    "kafka-to-socket": kafka.to_socket,
    "memory": memory.session,
    "never-read": memory.never_read,
    "ingest": kafka.ingest,
    "store-ingest": store.ingest,
    "inbox-depth": inbox.depth,
    "mark-all": inbox.mark_all,
    "store-latency": store.to_socket,
    "resume": resume.resume,
    "rabbitmq-ingest": rabbitmq.ingest,
    "mail": mail.throughput,
    "mail-away": mail.away,
    "two-nodes": two_nodes.fan_out,
    "across-nodes": across.to_socket,
    "unfollowed": across.unfollowed,
    "move": resume.move,
    "cost-idle": idle.cost,
    "beside-idle": idle.beside,
    "cost-broadcast": costs.broadcast,
    "cost-notification": costs.notification,
    "cost-ingest": costs.ingest,
    "cost-feeds": costs.feeds,
}

# Which of them need what may not be on this machine.
NEED_KAFKA: Final = (
    *("kafka-to-socket", "ingest", "store-ingest", "mark-all", "store-latency", "mail-away", "across-nodes"),
    "cost-ingest",
)
NEED_RABBITMQ: Final = ("rabbitmq-ingest",)
NEED_REDIS: Final = (
    *("two-nodes", "across-nodes", "unfollowed", "move", "cost-idle", "beside-idle"),
    *("cost-broadcast", "cost-notification", "cost-ingest", "cost-feeds"),
)


def missing(name: str) -> str | None:
    """What a benchmark lacks on this machine, in words; None when it can run."""
    needed = ((NEED_KAFKA, broker.missing), (NEED_RABBITMQ, rabbitmq.missing), (NEED_REDIS, nodes.missing))
    return next((reason for names, look in needed if name in names and (reason := look())), None)


async def run(names: list[str], rounds: int) -> None:
    rows: list[Row] = []
    for name in names:
        if reason := missing(name):
            note(f"{name}: not measured, {reason}")
            continue
        note(name)
        rows += await BENCHMARKS[name](rounds)
    print_table(rows)
    print(f"\n{machine()}; medians of {rounds} rounds in turn, the server on one core, all else on another.")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measures Herald, on loopback.")
    parser.add_argument("names", nargs="*", metavar="name", help=f"one or several of {', '.join(BENCHMARKS)}")
    parser.add_argument("--rounds", type=int, default=3, help="of each benchmark (default: 3)")
    chosen = parser.parse_args()
    if unknown := set(chosen.names) - BENCHMARKS.keys():
        parser.error(f"there is no benchmark {', '.join(sorted(unknown))}; there are {', '.join(BENCHMARKS)}")
    settle_here()
    # The client keeps a lot and loses nothing: looking for garbage would only show in the latencies.
    gc.disable()
    uvloop.run(run(chosen.names or list(BENCHMARKS), chosen.rounds))


if __name__ == "__main__":
    sys.exit(main())
