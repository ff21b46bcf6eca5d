"""Metrics in the formats of Prometheus and OpenMetrics. They are read from the application's counters at each
request."""

from collections.abc import Iterable, Mapping, Sequence

from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from application.counters import Counters, Histogram
from application.hub.hub import Hub
from application.ingest.ingest_events import ConsumeEvents


class PrometheusExposition:
    """Implements the port Exposition: renders all metrics of this node in a format that the `Accept` header selects."""

    def __init__(
        self, counters: Counters, hub: Hub, consumers: Sequence[ConsumeEvents], about: Mapping[str, str]
    ) -> None:
        """`about` has the labels of the metric `herald_node_info`, which identify this node, by name."""
        self._registry = CollectorRegistry()
        self._registry.register(_HeraldCollector(counters, hub, consumers, about))

    def render(self, accept: str) -> tuple[bytes, str]:
        encode, media_type = choose_encoder(accept)
        return encode(self._registry), media_type


class _HeraldCollector(Collector):
    def __init__(
        self, counters: Counters, hub: Hub, consumers: Sequence[ConsumeEvents], about: Mapping[str, str]
    ) -> None:
        self._counters = counters
        self._hub = hub
        self._consumers = consumers
        self._about = about

    def collect(self) -> Iterable[Metric]:
        counters = self._counters
        yield InfoMetricFamily(
            "herald_node", "Identifies this node by its labels; the value is always 1.", dict(self._about)
        )
        yield _counter("events_in", "Events that were consumed and stored, by broker.", "broker", counters.events_in)
        yield _counter("events_planned", "Events that every matching route could process.", None, counters.planned)
        yield _counter("entries_stored", "Notifications and broadcasts that were stored.", None, counters.stored)
        yield _counter(
            "dead_letters", "Events that could not be processed, by reason.", "reason", counters.dead_letters
        )
        yield _counter(
            "events_ignored", "Events without an effect that were not stored, by reason.", "reason", counters.ignored
        )
        yield _counter(
            "events_unwanted",
            "Events that a queue delivered although their route was removed, by binding key.",
            "key",
            counters.unwanted,
        )
        yield _counter(
            "duplicates", "Events that were ignored because they were stored before.", None, counters.duplicates
        )
        yield self._duplicates()
        yield _counter(
            "publish_failures",
            "Batches of stored entries that could not be published to the other nodes.",
            None,
            counters.publish_failures,
        )
        yield _counter(
            "backplane_messages",
            "Messages between nodes, by direction (published or received).",
            "direction",
            counters.backplane,
        )
        yield _counter(
            "acknowledge_failures",
            "Batches of events that could not be acknowledged to the broker.",
            None,
            counters.acknowledge_failures,
        )
        yield _counter("pruned", "Rows deleted because of their age or number, by kind.", "kind", counters.pruned)
        yield _counter(
            "streams_healed", "Streams that were behind the database and were resynchronised.", None, counters.healed
        )
        yield _counter("pushed", "Messages sent to clients, by transport.", "transport", counters.pushed)
        yield _counter("deliveries", "Deliveries created, by their first status.", "status", counters.deliveries)
        yield _counter("mail_attempts", "Attempts to send a mail, by result.", "result", counters.mails)
        yield self._attempts()
        yield _counter("sessions_opened", "Sessions that were opened, by endpoint.", "endpoint", counters.sessions)
        yield _counter(
            "sessions_closed",
            "Connections that ended, by close code; `client` if the client ended it.",
            "code",
            counters.closes,
        )
        yield _counter(
            "marked",
            "Notifications whose state was changed, by change (read, unread, archived).",
            "mark",
            counters.marked,
        )
        yield _counter(
            "requests",
            "HTTP responses sent, by status.",
            "status",
            counters.answers,
        )
        yield _histogram(
            "request_seconds", "Seconds from an HTTP request to the start of its response.", counters.request
        )
        yield _histogram("store_read_seconds", "Duration of reads from the database in seconds.", counters.store_read)
        yield _histogram(
            "store_write_seconds", "Duration of write transactions of the database in seconds.", counters.store_write
        )
        yield _histogram(
            "store_to_socket_seconds",
            "Seconds from storing an entry to sending it to a client.",
            counters.store_to_socket,
        )
        yield self._sessions_open()
        yield from self._sources()

    def _duplicates(self) -> Metric:
        family = CounterMetricFamily(
            "herald_duplicate_events",
            "Events that were ignored because they were stored before, by topic or routing key, and route.",
            labels=["source", "route"],
        )
        for labels, count in list(self._counters.duplicates_by_route.items()):
            family.add_metric(labels, count)
        return family

    def _attempts(self) -> Metric:
        family = CounterMetricFamily(
            "herald_delivery_attempts",
            "Attempts to send deliveries, and decisions not to send one, by channel and result.",
            labels=["channel", "result"],
        )
        for channel, results in list(self._counters.attempts.items()):
            for result, count in list(results.items()):
                family.add_metric([channel, result], count)
        return family

    def _sessions_open(self) -> Metric:
        family = GaugeMetricFamily(
            "herald_sessions_open", "Sessions that are open now, by endpoint.", labels=["endpoint"]
        )
        endpoints = [session.endpoint for session in list(self._hub.sessions)]
        for endpoint in sorted(set(endpoints) | set(self._counters.sessions)):
            family.add_metric([endpoint], endpoints.count(endpoint))
        return family

    def _sources(self) -> Iterable[Metric]:
        ready = GaugeMetricFamily(
            "herald_source_ready", "1 if events are being consumed from the broker, 0 otherwise.", labels=["broker"]
        )
        lag = GaugeMetricFamily(
            "herald_source_lag", "Events at the broker that are not consumed yet.", labels=["broker"]
        )
        for consumer in self._consumers:
            status = consumer.source.status()
            ready.add_metric([status.name], float(status.ready))
            if status.lag is not None:
                lag.add_metric([status.name], status.lag)
        yield ready
        yield lag


def _counter(name: str, text: str, label: str | None, value: int | dict[str, int]) -> Metric:
    family = CounterMetricFamily(f"herald_{name}", text, labels=[label] if label else [])
    for key, count in value.items() if isinstance(value, dict) else [("", value)]:
        family.add_metric([key] if label else [], count)
    return family


def _histogram(name: str, text: str, histogram: Histogram) -> Metric:
    family = HistogramMetricFamily(f"herald_{name}", text)
    buckets: list[tuple[str, float]] = []
    so_far = 0
    for bound, count in zip((*histogram.bounds, float("inf")), histogram.counts, strict=True):
        so_far += count
        buckets.append(("+Inf" if bound == float("inf") else str(bound), so_far))
    family.add_metric([], buckets, histogram.total)
    return family
