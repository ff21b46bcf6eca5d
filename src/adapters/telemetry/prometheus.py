"""Metrics in the formats of Prometheus and OpenMetrics. They are read at each request, as declared."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from prometheus_client import Metric as Family
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from adapters.telemetry.all_metrics import METRICS
from adapters.telemetry.metric_declarations import Metric, Readings
from application.counters import Counters, Histogram
from application.hub.hub import Hub
from application.ingest.ingest_events import ConsumeEvents
from application.operations.report_backlog import ReportBacklog


class PrometheusExposition:
    """Implements the port Exposition: renders all metrics of this node in a format that the `Accept` header selects."""

    def __init__(
        self,
        counters: Counters,
        hub: Hub,
        consumers: Sequence[ConsumeEvents],
        report_backlog: ReportBacklog,
        about: Mapping[str, str],
    ) -> None:
        """`about` has the labels of the metric `herald_node_info`, which identify this node, by name."""
        self._counters = counters
        self._hub = hub
        self._consumers = consumers
        self._report_backlog = report_backlog
        self._about = about

    async def render(self, accept: str) -> tuple[bytes, str]:
        encode, media_type = choose_encoder(accept)
        sources = tuple(consumer.source.status() for consumer in self._consumers)
        waiting = await self._report_backlog()
        return encode(_Families(Readings(self._counters, self._hub, sources, waiting, self._about))), media_type


class _Families(Collector):
    def __init__(self, readings: Readings) -> None:
        self._readings = readings

    def collect(self) -> Iterable[Family]:
        return (family(metric, self._readings) for metric in METRICS)


def family(metric: Metric, readings: Readings) -> Family:
    """Returns a metric with its samples, in the library's form."""
    made = Family(metric.name, metric.meaning, metric.kind)
    values = metric.read(readings)
    if isinstance(values, Histogram):
        for suffix, labels, value in _histogram(values):
            made.add_sample(metric.name + suffix, labels, value)
    else:
        names = [label.name for label in metric.labels]
        for label_values, value in values:
            made.add_sample(metric.shown_name, dict(zip(names, label_values, strict=True)), value)
    return made


def _histogram(histogram: Histogram) -> Iterator[tuple[str, dict[str, str], float]]:
    so_far = 0
    for bound, count in zip((*histogram.bounds, float("inf")), histogram.counts, strict=True):
        so_far += count
        yield "_bucket", {"le": "+Inf" if bound == float("inf") else str(bound)}, so_far
    yield "_count", {}, so_far
    yield "_sum", {}, histogram.total
