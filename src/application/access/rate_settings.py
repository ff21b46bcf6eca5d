"""The settings of rate limits."""

from typing import Annotated, Final

from application.access.limit_rate import Rates
from application.ports.throttle import Rate
from domain.setting_declarations import Section, Setting
from domain.setting_parsers import per_second

# A burst may have as many requests as the rate allows in this many seconds: a page that loads, or a device that
# reconnects, sends many requests together and few afterwards. Publishers may send 1 s of their rate, or one request.
BURST_S: Final = 10


class RateSettings(Section, frozen=True):
    """Rate limits: how many REST requests, published events and new connections per second each user, and each token,
    is allowed."""

    rest: Annotated[
        float,
        Setting(
            "HERALD_REST_RATE",
            per_second,
            "The maximum rate of REST requests of one user or token. `0` means no limit.",
            unit="per s",
        ),
    ] = 50.0
    publish: Annotated[
        float,
        Setting(
            "HERALD_PUBLISH_RATE",
            per_second,
            "The maximum rate of events that one user or token publishes over HTTP. `0` means no limit.",
            unit="per s",
        ),
    ] = 5000.0
    connect: Annotated[
        float,
        Setting(
            "HERALD_CONNECT_RATE",
            per_second,
            "The maximum rate at which one user or token opens connections. `0` means no limit.",
            unit="per s",
        ),
    ] = 50.0

    def rates(self, max_published: int) -> Rates:
        """Returns the limits with their bursts: the number of requests that may come at once. `max_published` is the
        maximum number of events in one publish request; the burst of published events is at least that large."""
        return Rates(
            rest=_rate(self.rest, self.rest * BURST_S),
            publish=_rate(self.publish, max(self.publish, max_published)),
            connect=_rate(self.connect, self.connect * BURST_S),
        )


def _rate(per_second: float, burst: float) -> Rate | None:
    return Rate(per_second, max(1, int(burst))) if per_second else None
