"""The counters of one process: plain numbers, incremented while Herald works and read when `/metrics` is requested."""

from bisect import bisect_left
from collections import Counter
from typing import Final

# Seconds. Herald's own share of a latency is milliseconds; the larger bounds show faults.
LATENCY_BOUNDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Histogram:
    """A histogram: how many of the observed values are in each range, and their sum.

    `counts[i]` is the number of values up to `bounds[i]` and above the previous bound; the last item of `counts` is the
    number of values above all bounds. `total` is the sum of all values.
    """

    def __init__(self, bounds: tuple[float, ...] = LATENCY_BOUNDS) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float, times: int = 1) -> None:
        self.counts[bisect_left(self.bounds, value)] += times
        self.total += value * times


class Counters:
    """Everything that this process has counted since its start. The values never decrease."""

    def __init__(self) -> None:
        self.events_in: Counter[str] = Counter()  # by broker
        self.events: Counter[tuple[str, str, str]] = Counter()  # by source, type and result
        self.planned = 0  # events that became a plan without a dead letter
        self.stored = 0  # notifications and broadcasts
        self.dead_letters: Counter[str] = Counter()  # by reason
        self.ignored: Counter[str] = Counter()  # events that lead to nothing and are not stored, by reason
        self.refused_urls: Counter[str] = Counter()  # URLs of notifications that are not allowed, by route
        self.unwanted: Counter[str] = Counter()  # events of removed routes, by the key of their binding
        self.duplicates = 0
        self.duplicates_by_route: Counter[tuple[str, str]] = Counter()  # by source and route
        self.publish_failures = 0
        self.backplane: Counter[str] = Counter()  # messages between nodes, by direction: published, received
        self.acknowledge_failures = 0
        self.pushed: Counter[tuple[str, str]] = Counter()  # objects sent to clients, by transport and listener
        self.deliveries: Counter[str] = Counter()  # deliveries created, by their first status
        self.sessions: Counter[tuple[str, str]] = Counter()  # sessions opened, by endpoint and listener
        # Sessions ended, by close code (or `client` if the client left) and listener.
        self.closes: Counter[tuple[str, str]] = Counter()
        self.attempts: dict[str, Counter[str]] = {}  # attempts at deliveries, by channel and result
        self.pruned: Counter[str] = Counter()  # rows deleted, by kind: notification, broadcast, dead_letter, delivery
        self.healed = 0  # streams found behind the store and resynchronised
        self.marked: Counter[str] = Counter()  # notifications marked, by state change
        self.reloads: Counter[str] = Counter()  # reloads of the routes, by result: reloaded, refused, failed
        self.answers: Counter[str] = Counter()  # requests answered, by status
        self.request = Histogram()  # seconds until the response to a request begins
        self.store_read = Histogram()
        self.store_write = Histogram()
        self.store_to_socket = Histogram()

    def count_attempt(self, channel: str, result: str) -> None:
        self.attempts.setdefault(channel, Counter())[result] += 1

    @property
    def mails(self) -> Counter[str]:
        """The number of attempts to send a mail, by result. Shown as a metric of its own, which is older than the
        metric of the attempts of all channels."""
        return self.attempts.get("email", Counter())
