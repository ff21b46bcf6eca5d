"""The port for metrics in the formats of monitoring systems."""

from typing import Protocol


class Exposition(Protocol):
    """Renders all counters in a format that the client accepts."""

    def render(self, accept: str) -> tuple[bytes, str]:
        """Returns the text and its media type for an `Accept` header: OpenMetrics if accepted, else Prometheus."""
