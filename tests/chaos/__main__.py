"""Injects one fault after another and prints a table of the results (`task chaos`)."""

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from tests.chaos.deployment import Services
from tests.chaos.faults import FAULTS
from tests.chaos.trial import TrialResult, TrialSize, run_trial
from tests.support.kafka import RealKafka
from tests.support.postgres import Postgres
from tests.support.redis import RealRedis

HEADINGS: Final = (
    "events",
    "received",
    "lost",
    "duplicated",
    "reordered",
    "unexpected",
    "gaps",
    "missed",
    "offline s",
    "latency s",
    "recovery s",
)

LEGEND: Final = """\
received:   entries received by all clients together
unexpected: entries received by a client to whom they do not belong
missed:     entries stored while plain sockets, which cannot resume, were disconnected
offline:    the longest time that a client had no session
latency:    the longest time from an event to a client that can resume
recovery:   the time from the end of the fault until both nodes were healthy and shared the partitions"""


@contextmanager
def services(directory: Path) -> Iterator[Services]:
    """Kafka, PostgreSQL and Redis, running in the block."""
    with ExitStack() as running:
        started = []
        for kind in (RealKafka, Postgres, RealRedis):
            folder = directory / kind.__name__.lower()
            folder.mkdir()
            folder.chmod(0o755)  # PostgreSQL may run as another user
            service = kind(folder)
            service.start()
            running.callback(service.stop)
            started.append(service)
        yield Services(*started)


def row(result: TrialResult) -> tuple[str, ...]:
    total = result.store + result.clients
    return (
        str(result.events),
        str(result.clients.received),
        *(str(count) for count in (total.lost, total.duplicated, total.reordered, total.unexpected, result.gaps)),
        str(result.clients.missed),
        *(f"{seconds:.1f}" for seconds in (result.offline, result.latency, result.recovery)),
    )


def print_row(name: str, cells: tuple[str, ...]) -> None:
    print(f"{name:26}" + "".join(f"{cell:>12}" for cell in cells), flush=True)


def main() -> int:
    """The exit code: 1 if any fault led to a violation."""
    parser = argparse.ArgumentParser(prog="task chaos --", description=__doc__)
    parser.add_argument("faults", nargs="*", metavar="FAULT", help=f"one of {', '.join(FAULTS)}; all by default")
    parser.add_argument("--clients", type=int, default=TrialSize().clients)
    parser.add_argument("--rate", type=int, default=TrialSize().rate, help="events per second")
    parser.add_argument(
        "--lead", type=float, default=TrialSize().lead, help="seconds of load before and after each fault"
    )
    options = parser.parse_args()
    if unknown := set(options.faults) - set(FAULTS):
        parser.error(f"no such fault: {', '.join(sorted(unknown))}")
    size = TrialSize(clients=options.clients, rate=options.rate, lead=options.lead)
    print_row("", HEADINGS)
    failed = 0
    with tempfile.TemporaryDirectory(prefix="herald-chaos-") as folder, services(Path(folder)) as started:
        for name in options.faults or FAULTS:
            result = asyncio.run(run_trial(name, started, size, Path(folder)))
            print_row(name, row(result))
            failed += result.violations > 0
    print(LEGEND)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
