"""Limits and timings of the dispatchers."""

from typing import Final

import msgspec

from domain.backoff import Backoff

# Maximum delay between two attempts at one delivery.
MAX_RETRY_S: Final = 3_600.0


class DispatchPolicy(msgspec.Struct, frozen=True):
    """Limits and timings of a Dispatcher. Names that end in `_seconds` are durations.

    - `at_once`: the maximum number of deliveries that are sent concurrently.
    - `attempt_seconds`: the maximum duration of an attempt. An attempt that takes longer is cancelled after
      `overrun_seconds` more.
    - `tries`: the number of counted attempts after which a delivery has failed. Attempts in which the peer refused the
      sender rather than the delivery do not count.
    - `retry`: the delays between the attempts at one delivery.
    - `pause`: the delays after which a single attempt tries an unavailable peer again.
    - `template_pause_seconds`: the time for which this node claims no deliveries with a template that it can't use.
      Other nodes may send them.
    - `template_wait_seconds`: a delivery fails if no node has had a usable template for it for this time.
    - `template_report_seconds`: the interval at which each node records in the store which templates it can use.
    - `poll_seconds`: the interval at which the store is queried for due deliveries while none is due.
    - `store_retry_seconds`: the interval at which the store is queried while it is unavailable.
    - `batch_seconds`: the time for which an outcome waits for others, to be recorded in one transaction with them.
    """

    at_once: int = 10
    attempt_seconds: float = 30.0
    overrun_seconds: float = 2.0
    lease_margin_seconds: float = 5.0
    tries: int = 60
    retry: Backoff = Backoff(initial_s=10.0, max_s=MAX_RETRY_S)
    pause: Backoff = Backoff(initial_s=1.0, max_s=30.0)
    template_pause_seconds: float = 5.0
    template_wait_seconds: float = 3_600.0
    template_report_seconds: float = 60.0
    poll_seconds: float = 0.5
    store_retry_seconds: float = 1.0
    batch_seconds: float = 0.005

    @property
    def lease_seconds(self) -> float:
        """The duration of a lease in seconds. It is enough for a delivery to wait until another attempt ends, for its
        own attempt, and, with `lease_margin_seconds`, for recording the outcome."""
        return 2 * self.attempt_seconds + self.lease_margin_seconds
