"""The port for metrics as monitoring systems read them."""

from typing import Protocol


class Exposition(Protocol):
    """For writing all counters out in a format that the reader accepts."""

    def render(self, accept: str) -> tuple[bytes, str]:
        """The text and its media type for an `Accept` header: OpenMetrics where that is accepted, else Prometheus."""
