"""Generates deploy/alerts.yaml, alerting rules for Prometheus, from the declarations of the metrics.

Run `python -m adapters.telemetry.alert_rules > deploy/alerts.yaml`.
"""

import json
import sys
from collections.abc import Iterator
from typing import Final

from adapters.telemetry.all_metrics import METRICS
from adapters.telemetry.metric_declarations import Alert

HEAD: Final = """\
# Alerting rules for Prometheus: name this file in `rule_files` of prometheus.yml. docs/metrics.md explains each alert.
# Generated from the declarations of the metrics by `task docs`: copy it before you change thresholds.
groups:
  - name: herald
    rules:
"""


def alert_rules() -> str:
    """Returns the text of deploy/alerts.yaml."""
    return HEAD + "\n".join(line for metric in METRICS for alert in metric.alerts for line in _rule(alert)) + "\n"


def _rule(alert: Alert) -> Iterator[str]:
    yield f"      - alert: {alert.name}"
    yield f"        expr: {_quoted(alert.condition)}"
    yield f"        for: {alert.minutes}m"
    yield "        annotations:"
    yield f"          description: {_quoted(alert.meaning)}"


def _quoted(text: str) -> str:
    # Text in YAML may be written as in JSON.
    return json.dumps(text, ensure_ascii=False)


if __name__ == "__main__":
    sys.stdout.write(alert_rules())
