"""All metrics of a node, in the order of docs/metrics.md."""

from typing import Final

from adapters.telemetry.client_metrics import CLIENTS
from adapters.telemetry.delivery_metrics import DELIVERIES
from adapters.telemetry.event_metrics import EVENTS
from adapters.telemetry.metric_declarations import Metric
from adapters.telemetry.node_metrics import NODE

SECTIONS: Final = (EVENTS, DELIVERIES, CLIENTS, NODE)
METRICS: Final[tuple[Metric, ...]] = tuple(metric for section in SECTIONS for metric in section.metrics)
