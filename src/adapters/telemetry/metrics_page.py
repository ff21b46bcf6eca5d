"""Generates docs/metrics.md from the declarations of the metrics.

Run `python -m adapters.telemetry.metrics_page > docs/metrics.md`.
"""

import sys
from collections.abc import Iterator
from typing import Final

from adapters.telemetry.all_metrics import METRICS, SECTIONS
from adapters.telemetry.metric_declarations import Alert, Label, Section

PAGE_HEAD: Final = """\
# Metrics

For operators. Each node reports its metrics at `/metrics`, in the format of Prometheus or OpenMetrics if the `Accept`
header asks for it, as Prometheus does; otherwise as JSON, which has a selection under names of its own. Let Prometheus
read each node directly, not through the proxy, which answers 404. If `HERALD_HOSTS` is set, it must include the names
by which Prometheus reaches the nodes.

```yaml
scrape_configs:
  - job_name: herald
    static_configs: [{targets: ["herald-1:8000", "herald-2:8000"]}]
```

Counters begin at 0 when a node starts: use them with `rate` or `increase`, and `sum` over the nodes. A counter with
labels has no sample before it is first incremented with these values. Gauges of what waits in the database are the same
on every node: use `max`, not `sum`. A histogram has the samples `…_bucket` (label `le`),
`…_count` and `…_sum`.

This page is generated from the declarations in the code by `task docs`.
"""

ALERTS_HEAD: Final = """\
## Alerts

What to alert on. Each condition has to hold for the time in the column "for". Thresholds that depend on your load are
marked as examples. The file `deploy/alerts.yaml` has the same alerts as rules for Prometheus.
"""


def page() -> str:
    """Returns the text of docs/metrics.md."""
    sections = (line for section in SECTIONS for line in _section(section))
    return "\n".join((PAGE_HEAD, *sections, ALERTS_HEAD, *_alerts()))


def _section(section: Section) -> Iterator[str]:
    yield f"## {section.title}"
    yield ""
    yield "| metric | type | unit | labels | meaning |"
    yield "|---|---|---|---|---|"
    for metric in section.metrics:
        labels = "; ".join(map(_label, metric.labels)) or "none"
        yield f"| `{metric.shown_name}` | {metric.kind} | {metric.unit} | {labels} | {metric.meaning} |"
    yield ""


def _label(label: Label) -> str:
    return f"`{label.name}`: {label.values}"


def _alerts() -> Iterator[str]:
    yield "| alert | condition | for | meaning |"
    yield "|---|---|---|---|"
    for metric in METRICS:
        yield from (_alert(alert) for alert in metric.alerts)
    yield ""


def _alert(alert: Alert) -> str:
    minutes = f"{alert.minutes} min" if alert.minutes else "at once"
    return f"| `{alert.name}` | `{alert.condition}` | {minutes} | {alert.meaning} |"


if __name__ == "__main__":
    sys.stdout.write(page())
