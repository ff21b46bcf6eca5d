"""The port for metrics, in the text formats of monitoring systems."""

from typing import Protocol


class Exposition(Protocol):
    """Renders the metrics of this process as text, for `/metrics`."""

    async def render(self, accept: str) -> tuple[bytes, str]:
        """Returns the metrics as text, and its media type. `accept` is the `Accept` header of the request: the format
        is OpenMetrics if the header allows it, otherwise the Prometheus text format."""
