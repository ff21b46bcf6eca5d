"""The limits and timings of a dispatcher."""

from typing import Final

import msgspec

from domain.backoff import Backoff

# Maximum delay between two attempts at one delivery.
MAX_RETRY_S: Final = 3_600.0


class DispatchPolicy(msgspec.Struct, frozen=True):
    """The limits and timings of a dispatcher.

    At most `at_once` deliveries are sent concurrently, and each attempt takes at most `attempt_seconds`; an attempt
    that exceeds this limit is cancelled after another `overrun_seconds`. A delivery has failed after `tries` counted
    attempts. `retry` gives the delay before the next attempt. While a peer is unavailable, `pause` gives the delay
    until a single attempt tries the peer again.

    A delivery whose template this node can't use is left to other nodes: this node claims no delivery with that
    template for `template_pause_seconds`. The delivery has failed once no node had the template for
    `template_wait_seconds`. Nodes report the templates that they have every `template_report_seconds`, also while the
    peer is unavailable.

    While no delivery is due, the store is queried every `poll_seconds`; while the store is unavailable, every
    `store_retry_seconds`. Outcomes wait for `batch_seconds`, to be recorded with others in one transaction.
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
        """The duration of a lease: long enough to wait for a whole attempt, to make another one, and to record its
        outcome."""
        return 2 * self.attempt_seconds + self.lease_margin_seconds
