"""Tries one fault after another, and prints what came of each: `task chaos`."""

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.chaos.faults import FAULTS
from tests.chaos.site import Services
from tests.chaos.trial import Result, Size, run
from tests.support.kafka import RealKafka
from tests.support.postgres import Postgres
from tests.support.redis import RealRedis

HEADINGS = ("events", "shown", "lost", "twice", "disorder", "strange", "gaps", "missed", "away s", "late s", "whole s")

LEGEND = """\
shown: all that all clients were shown. missed: what went by while plain sockets, which can't resume, were away.
away: the longest time that a client had no session. late: the longest from an event to a client that can resume.
whole: from the end of the fault until both nodes were healthy and shared the topic."""


@contextmanager
def services(directory: Path) -> Iterator[Services]:
    with ExitStack() as running:
        started = []
        for kind in (RealKafka, Postgres, RealRedis):
            own = directory / kind.__name__.lower()
            own.mkdir()
            own.chmod(0o755)  # PostgreSQL may run as a user of its own
            service = kind(own)
            service.start()
            running.callback(service.stop)
            started.append(service)
        yield Services(*started)


def row(result: Result) -> tuple[str, ...]:
    both = result.store + result.clients
    return (
        str(result.events),
        str(result.clients.shown),
        *(str(number) for number in (both.lost, both.twice, both.disordered, both.strange, result.gaps)),
        str(result.clients.missed),
        *(f"{seconds:.1f}" for seconds in (result.away, result.late, result.recovery)),
    )


def print_row(name: str, cells: tuple[str, ...]) -> None:
    print(f"{name:26}" + "".join(f"{cell:>9}" for cell in cells), flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(prog="task chaos --", description=__doc__)
    parser.add_argument("faults", nargs="*", metavar="FAULT", help=f"of {', '.join(FAULTS)}; all without any")
    parser.add_argument("--clients", type=int, default=Size().clients)
    parser.add_argument("--rate", type=int, default=Size().rate, help="events a second")
    parser.add_argument("--lead", type=float, default=Size().lead, help="seconds of load before and after each fault")
    options = parser.parse_args()
    if unknown := set(options.faults) - set(FAULTS):
        parser.error(f"no such fault: {', '.join(sorted(unknown))}")
    size = Size(clients=options.clients, rate=options.rate, lead=options.lead)
    print_row("", HEADINGS)
    faulty = 0
    with tempfile.TemporaryDirectory(prefix="herald-chaos-") as folder, services(Path(folder)) as started:
        for name in options.faults or FAULTS:
            result = asyncio.run(run(name, started, size, Path(folder)))
            print_row(name, row(result))
            faulty += result.faults > 0
    print(LEGEND)
    return 1 if faulty else 0


if __name__ == "__main__":
    sys.exit(main())
