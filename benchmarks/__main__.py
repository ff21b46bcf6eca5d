"""The command line of the benchmarks."""

import argparse
import gc
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
    javascript,
    kafka,
    mail,
    many,
    memory,
    nodes,
    planning,
    rabbitmq,
    reload,
    resume,
    sockets,
    store,
    two_nodes,
)
from benchmarks.report import Row, log, machine, print_table
from benchmarks.servers import pin_to_client_core

Benchmark = Callable[[int], Awaitable[list[Row]]]

BENCHMARKS: Final[dict[str, Benchmark]] = {
    "burst": fan_out.burst,
    "paced": fan_out.paced,
    "paced-streams": fan_out.paced_streams,
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
    "unfollowed": across.without_recipients,
    "move": resume.move,
    "cost-idle": idle.cost,
    "beside-idle": idle.beside,
    "cost-broadcast": costs.broadcast,
    "cost-notification": costs.notification,
    "cost-ingest": costs.ingest,
    "cost-feeds": costs.feeds,
    "planning": planning.conditions,
    "reload": reload.latency,
    "sockets": sockets.listeners,
    "unfinished": sockets.unfinished,
    "many": many.sessions,
    "javascript-burst": javascript.burst,
    "javascript-store": javascript.store,
    "javascript-tabs": javascript.tabs,
}

# Benchmarks whose services may not be installed.
NEED_KAFKA: Final = (
    *("kafka-to-socket", "ingest", "store-ingest", "mark-all", "store-latency", "mail-away", "across-nodes"),
    "cost-ingest",
)
NEED_RABBITMQ: Final = ("rabbitmq-ingest",)
NEED_NODE: Final = ("javascript-burst", "javascript-store")
NEED_CHROMIUM: Final = ("javascript-tabs",)
NEED_REDIS: Final = (
    *("two-nodes", "across-nodes", "unfollowed", "move", "cost-idle", "beside-idle", "many"),
    *("cost-broadcast", "cost-notification", "cost-ingest", "cost-feeds"),
)


def missing(name: str) -> str | None:
    """Returns why a benchmark cannot run on this machine; None if it can."""
    needed = (
        (NEED_KAFKA, broker.missing),
        (NEED_RABBITMQ, rabbitmq.missing),
        (NEED_REDIS, nodes.missing),
        (NEED_NODE, javascript.missing_node),
        (NEED_CHROMIUM, javascript.missing_browser),
    )
    return next((reason for names, look in needed if name in names and (reason := look())), None)


async def run(names: list[str], rounds: int) -> None:
    rows: list[Row] = []
    for name in names:
        if reason := missing(name):
            log(f"{name}: skipped, {reason}")
            continue
        log(name)
        rows += await BENCHMARKS[name](rounds)
    print_table(rows)
    print(f"\n{machine()}; medians of {rounds} alternating rounds, the server on one core, everything else on another.")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Benchmarks of Herald, on loopback.")
    parser.add_argument("names", nargs="*", metavar="name", help=f"any of {', '.join(BENCHMARKS)}; all by default")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of each benchmark (default: 3)")
    chosen = parser.parse_args()
    if unknown := set(chosen.names) - BENCHMARKS.keys():
        parser.error(f"no such benchmark: {', '.join(sorted(unknown))}; choose from {', '.join(BENCHMARKS)}")
    pin_to_client_core()
    # The clients hold many objects without reference cycles. A garbage collection would free none of them and add to
    # the measured latencies.
    gc.disable()
    uvloop.run(run(chosen.names or list(BENCHMARKS), chosen.rounds))


if __name__ == "__main__":
    main()
