"""How a metric is declared. The declaration gives its samples at `/metrics`, its row in docs/metrics.md, and its alerts
in deploy/alerts.yaml."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, Literal, TypeAlias

import msgspec

from application.counters import Counters, Histogram
from application.hub.hub import Hub
from application.ports.backlog_counts import Waiting
from application.ports.event_source import SourceStatus

Kind: TypeAlias = Literal["counter", "gauge", "histogram", "info"]

# What is added to the name of a metric in the names of its samples. Those of a histogram end with `_bucket`, `_sum` or
# `_count`.
SUFFIXES: Final[Mapping[Kind, str]] = {"counter": "_total", "info": "_info", "gauge": "", "histogram": ""}


class Readings(msgspec.Struct, frozen=True):
    """What the metrics of one request are read from. `sources`: the status of each event source. `waiting`: what waits
    in the store; None while that is unavailable. `about`: the labels that identify this node, by name."""

    counters: Counters
    hub: Hub
    sources: Sequence[SourceStatus]
    waiting: Waiting | None
    about: Mapping[str, str]


# The values of the labels, in the order of the declaration, and the value of the sample.
Sample: TypeAlias = tuple[Sequence[str], float]


class Label(msgspec.Struct, frozen=True):
    """A label of a metric. `values` says which values it can have, and what limits their number."""

    name: str
    values: str


class Alert(msgspec.Struct, frozen=True):
    """An alert on a metric: `condition` (PromQL) has to hold for `minutes`. `meaning` says what is wrong and what to
    do."""

    name: str
    condition: str
    minutes: int
    meaning: str


class Metric(msgspec.Struct, frozen=True):
    """The declaration of one metric. `unit` is what a counter counts, or the unit of the value. `read` returns its
    samples; for a histogram, the histogram."""

    name: str
    kind: Kind
    unit: str
    meaning: str
    read: Callable[[Readings], Iterable[Sample] | Histogram]
    labels: tuple[Label, ...] = ()
    alerts: tuple[Alert, ...] = ()

    @property
    def shown_name(self) -> str:
        """The name in queries; for a histogram, without `_bucket`, `_sum` or `_count`."""
        return self.name + SUFFIXES[self.kind]


class Section(msgspec.Struct, frozen=True):
    """The metrics of one subject, under one heading of docs/metrics.md."""

    title: str
    metrics: tuple[Metric, ...]


def single(value: float) -> list[Sample]:
    """Returns the only sample of a metric without labels."""
    return [((), value)]


def by_label(counts: Mapping[str, float]) -> list[Sample]:
    """Returns the samples of a metric with one label."""
    return [((value,), count) for value, count in counts.items()]
