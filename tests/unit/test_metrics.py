"""Declarations of metrics are complete and consistent, docs/metrics.md is made from them, and samples are what was
counted."""

import asyncio
import re
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import yaml
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from adapters.telemetry.alert_rules import alert_rules
from adapters.telemetry.all_metrics import METRICS
from adapters.telemetry.metric_declarations import Readings
from adapters.telemetry.metrics_page import page
from adapters.telemetry.prometheus import PrometheusExposition
from application.counters import Counters, Histogram
from application.ports.backlog_counts import PendingDeliveries, Waiting
from application.ports.event_source import SourceStatus

PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"
ABOUT = {"node": "a", "service": "herald", "version": "0"}


def render(counters: Counters, *sources: SourceStatus, waiting: Waiting | None = None) -> str:
    hub = SimpleNamespace(sessions=[])
    consumers = [SimpleNamespace(source=SimpleNamespace(status=lambda status=status: status)) for status in sources]

    async def report_backlog() -> Waiting | None:
        return waiting

    exposition = PrometheusExposition(counters, hub, consumers, report_backlog, ABOUT)
    return asyncio.run(exposition.render("text/plain"))[0].decode()


def families(text: str) -> dict[str, Any]:
    return {family.name: family for family in text_string_to_metric_families(text)}


def test_the_page_is_generated_from_the_declarations() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run `task docs`"


def test_every_metric_has_a_row_that_a_table_can_show() -> None:
    rows = re.findall(r"^\| `(herald_\w+)` \|", page(), re.MULTILINE)
    assert rows == [metric.shown_name for metric in METRICS]
    tables = [line for line in page().splitlines() if line.startswith("|")]
    assert {line.count("|") for line in tables} <= {5, 6}


def test_names_follow_the_conventions_of_prometheus() -> None:
    assert not [name for name, count in Counter(metric.name for metric in METRICS).items() if count > 1]
    for metric in METRICS:
        assert re.fullmatch(r"herald_[a-z]+(_[a-z]+)*", metric.name)
        assert metric.kind != "histogram" or metric.name.endswith("_seconds")
        assert metric.kind != "counter" or not metric.name.endswith(("_total", "_count"))
        names = [label.name for label in metric.labels]
        assert len(names) == len(set(names)), metric.name
        assert metric.meaning.endswith("."), metric.name
        assert "le" not in names


def test_every_counter_is_shown() -> None:
    """Nothing is counted that no metric reads."""
    read: set[str] = set()

    class Watched(Counters):
        def __getattribute__(self, name: str) -> Any:
            read.add(name)
            return super().__getattribute__(name)

    render(Watched())
    assert {name for name in vars(Counters()) if not name.startswith("_")} - read == set()


def test_alerts_name_metrics_and_labels_that_exist() -> None:
    declared = {metric.shown_name: {label.name for label in metric.labels} for metric in METRICS}
    names = [alert.name for metric in METRICS for alert in metric.alerts]
    assert len(names) == len(set(names))
    for metric in METRICS:
        for alert in metric.alerts:
            for name in re.findall(r"herald_\w+", alert.condition):
                assert re.sub(r"_(bucket|sum|count)\Z", "", name) in declared, alert.name
            grouped = {one for by in re.findall(r"by \(([\w, ]+)\)", alert.condition) for one in by.split(", ")}
            assert grouped <= declared[metric.shown_name] | {"le", "instance"}, alert.name
            assert metric.shown_name in alert.condition


def test_the_rules_for_prometheus_are_the_declared_alerts() -> None:
    text = (PAGE.parents[1] / "deploy" / "alerts.yaml").read_text(encoding="utf-8")
    assert text == alert_rules(), "run `task docs`"
    (group,) = yaml.safe_load(text)["groups"]
    alerts = [alert for metric in METRICS for alert in metric.alerts]
    assert group["rules"] == [
        {
            "alert": alert.name,
            "expr": alert.condition,
            "for": f"{alert.minutes}m",
            "annotations": {"description": alert.meaning},
        }
        for alert in alerts
    ]


def test_a_histogram_counts_each_value_in_every_bucket_above_it() -> None:
    counters = Counters()
    for seconds in (0.003, 0.02, 99.0):
        counters.request.observe(seconds)
    samples = families(render(counters))["herald_request_seconds"].samples
    buckets = {one.labels["le"]: one.value for one in samples if one.name.endswith("_bucket")}
    assert (buckets["0.0025"], buckets["0.005"], buckets["10.0"], buckets["+Inf"]) == (0, 1, 2, 3)
    assert {one.name[-5:]: one.value for one in samples if "le" not in one.labels} == {"count": 3, "s_sum": 99.023}


def test_an_unknown_lag_is_absent() -> None:
    text = render(Counters(), SourceStatus("kafka", True), SourceStatus("rabbitmq", False, lag=7))
    found = families(text)
    assert [(one.labels, one.value) for one in found["herald_source_ready"].samples] == [
        ({"broker": "kafka"}, 1),
        ({"broker": "rabbitmq"}, 0),
    ]
    assert [(one.labels, one.value) for one in found["herald_source_lag"].samples] == [({"broker": "rabbitmq"}, 7)]


def test_what_waits_is_reported_and_is_absent_while_the_store_is_unavailable() -> None:
    waiting = Waiting({"email": PendingDeliveries(3, 90.5), "push": PendingDeliveries()}, 7)
    found = families(render(Counters(), waiting=waiting))
    shown = {
        (name, one.labels.get("channel")): one.value
        for name in ("herald_deliveries_pending", "herald_deliveries_pending_age_seconds", "herald_dead_letters_stored")
        for one in found[name].samples
    }
    assert shown == {
        ("herald_deliveries_pending", "email"): 3,
        ("herald_deliveries_pending", "push"): 0,
        ("herald_deliveries_pending_age_seconds", "email"): 90.5,
        ("herald_deliveries_pending_age_seconds", "push"): 0,
        ("herald_dead_letters_stored", None): 7,
    }
    found = families(render(Counters(), waiting=None))
    assert [found[name].samples for name, _ in shown] == [[]] * 5
    assert found["herald_events_planned"].samples


@given(value=st.text(max_size=20))
def test_a_label_can_have_any_text(value: str) -> None:
    counters = Counters()
    counters.duplicates_by_route[value, "shop/1"] = 3
    (sample,) = families(render(counters))["herald_duplicate_events"].samples
    assert (sample.labels, sample.value) == ({"source": value, "route": "shop/1"}, 3)


def test_samples_have_the_declared_labels() -> None:
    """With something counted everywhere, each metric has samples, each with a value for every label."""
    counters = Counters()
    for name, value in vars(counters).items():
        if isinstance(value, Counter):
            value["x"] += 1
        elif isinstance(value, Histogram):
            value.observe(0.1)
        elif isinstance(value, int):
            setattr(counters, name, 1)
    counters.events.clear()
    for counter in (counters.sessions, counters.closes, counters.pushed):
        counter.clear()
        counter["x", "main"] += 1
    counters.events["x", "y", "planned"] += 1
    counters.duplicates_by_route.clear()
    counters.duplicates_by_route["x", "shop/1"] += 1
    counters.count_attempt("email", "sent")
    status, waiting = SourceStatus("kafka", True, lag=1), Waiting({"email": PendingDeliveries()}, 0)
    readings = Readings(counters, SimpleNamespace(sessions=[]), [status], waiting, ABOUT)
    for metric in METRICS:
        values = metric.read(readings)
        if metric.kind == "histogram":
            assert isinstance(values, Histogram)
            continue
        samples = list(values)
        assert samples, metric.name
        assert {len(labels) for labels, _ in samples} == {len(metric.labels)}, metric.name
