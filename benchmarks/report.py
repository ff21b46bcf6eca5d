"""Repeats the runs of a benchmark, and prints the table of results."""

import os
import platform
import statistics
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Final, Literal, TypeVar

Result = TypeVar("Result")

HEADINGS: Final = ("what", "reference", "Herald", "ratio", "target", "met")
PACKAGES: Final = (
    *("granian", "litestar", "uvloop", "msgspec", "aiokafka", "aiormq", "aiosmtplib", "fastapi", "uvicorn"),
    *("websockets", "aio-pika", "aiosmtpd"),
)


@dataclass
class Row:
    """One line of the table: the results of each round, and the target of the ratio (or of the value itself, if there
    is no reference). Without a `bound` there is no target."""

    what: str
    unit: str
    herald: Sequence[float]
    reference: Sequence[float] | None = None
    bound: Literal["≥", "≤"] | None = None
    target: float = 0.0
    of: Literal["ratio", "value"] = "ratio"

    @property
    def ratios(self) -> list[float]:
        """Herald's result divided by the reference's, for each round."""
        return [ours / theirs for ours, theirs in zip(self.herald, self.reference or (), strict=False)]

    @property
    def met(self) -> bool:
        reached = statistics.median(self.ratios if self.of == "ratio" else self.herald)
        return reached >= self.target if self.bound == "≥" else reached <= self.target

    def cells(self) -> tuple[str, ...]:
        unit = f" {self.unit}" if self.of == "value" else " ×"
        return (
            self.what,
            self._shown(self.reference) if self.reference else "",
            self._shown(self.herald),
            _spread(self.ratios) if self.reference else "",
            f"{self.bound} {self.target:g}{unit}" if self.bound else "",
            ("yes" if self.met else "NO") if self.bound else "",
        )

    def _shown(self, values: Sequence[float]) -> str:
        return f"{_figure(statistics.median(values))} {self.unit}"


async def alternate(rounds: int, *runs: Callable[[], Awaitable[Result]]) -> list[list[Result]]:
    """Runs A B A B …, so that other load of the machine affects all of them equally; returns the results of each."""
    results: list[list[Result]] = [[] for _ in runs]
    for number in range(rounds):
        for run, gathered in zip(runs, results, strict=True):
            gathered.append(await run())
        log(f"  round {number + 1}: " + "   ".join(str(gathered[-1]) for gathered in results))
    return results


def p50_p99(latencies: list[float]) -> tuple[float, float]:
    """Returns the 50th and 99th percentile in milliseconds. `latencies` are in seconds."""
    cuts = statistics.quantiles(latencies, n=100)
    return cuts[49] * 1e3, cuts[98] * 1e3


def log(text: str) -> None:
    """Prints progress to stderr."""
    print(text, file=sys.stderr, flush=True)


def print_table(rows: Sequence[Row]) -> None:
    """Prints the table in Markdown, for docs/performance.md."""
    lines = [HEADINGS, *(row.cells() for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADINGS))]
    rule = tuple("-" * width for width in widths)
    for line in [lines[0], rule, *lines[1:]]:
        print("| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |")


def machine() -> str:
    """Returns a text about the machine and the versions of packages."""
    model = "unknown processor"
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        models = [line.partition(":")[2].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        model = models[0] if models else model
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    return f"{model}, {os.cpu_count()} cores; Python {platform.python_version()}; {packages}"


def _spread(ratios: Sequence[float]) -> str:
    median = _figure(statistics.median(ratios))
    return f"{median} ({_figure(min(ratios))} to {_figure(max(ratios))})" if len(ratios) > 1 else median


def _figure(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
