"""Circuit breakers: whether a peer is available for deliveries, according to the attempts of this process."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import structlog
from msgspec.structs import replace

from application.delivery.dispatch_policy import DispatchPolicy
from application.ports.clock import Clock
from application.ports.deliveries import Deliveries, Outcome
from domain.email_addresses import masked, masked_in

log = structlog.get_logger(__name__)

# Maximum number of breakers of one channel. Beyond it, the breakers of available peers are dropped, and created again
# when they are needed.
MAX_BREAKERS: Final = 1_000


class CircuitBreaker:
    """Opens and closes by the results of attempts at one peer's deliveries.

    While the peer is unavailable the breaker is open: deliveries wait for a pause, and then a single attempt tries the
    peer. Each attempt that finds the peer still unavailable makes the next pause longer. `error` says why the breaker
    is open. If the peer is itself the destination of a delivery (not a common mail server, for example), its address is
    masked in the log and in `error`, which `/health` shows without a token.
    """

    def __init__(self, channel: str, peer: str, policy: DispatchPolicy, clock: Clock, *, is_destination: bool) -> None:
        self.error: str | None = None
        # Set when the peer answers for the first time or after an outage: deliveries may be waiting for it.
        self.recovered = False
        self.peer = peer
        self._shown = masked(peer) if is_destination else masked_in(peer, "")
        self._masked = peer if is_destination else ""
        self._channel = channel
        self._policy = policy
        self._clock = clock
        self._failures = 0  # in a row; 0 while the peer is available
        self._pause_until = 0.0
        self._trying = False  # whether an attempt is in progress while the breaker is open
        self._answered_at: float | None = None  # None before the first answer and while the peer is unavailable

    @property
    def untried(self) -> bool:
        """Whether this process has not tried the peer yet: it has neither received an answer nor found the peer
        unavailable."""
        return self._answered_at is None and not self.is_open

    @property
    def is_open(self) -> bool:
        return self._failures > 0

    @property
    def pause_left(self) -> float:
        """Seconds left of the pause; 0 once it is over."""
        return max(0.0, self._pause_until - self._clock.monotonic())

    def admits(self) -> bool:
        """Returns whether an attempt may begin now: any while the breaker is closed, one at a time after each pause
        while it is open."""
        return not self.is_open or not (self.pause_left or self._trying)

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """Marks an attempt that `admits` has allowed as in progress, for as long as the context lasts."""
        tries_out = self.is_open
        self._trying = self._trying or tries_out
        try:
            yield
        finally:
            if tries_out:
                self._trying = False

    def learn(self, outcome: Outcome, began: float) -> Outcome:
        """Opens or closes the breaker by the outcome of an attempt that began at `began`, and returns the outcome to
        record. If this attempt found the peer unavailable, but another attempt got an answer after `began`, the breaker
        stays closed and `awaited_peer` is cleared: the peer is available, only not for so many concurrent deliveries.
        """
        attempt = outcome.attempt
        if attempt is None:
            return outcome
        if attempt.result == "sent" or (attempt.result != "server" and attempt.code is not None):
            self.close()
        elif attempt.result == "server":
            if self._answered_at is not None and self._answered_at > began:
                return replace(outcome, awaited_peer=None)
            self.open(attempt.text)
        return outcome

    def close(self) -> None:
        if self._answered_at is None:
            self.recovered = True
        if self.is_open:
            log.info("peer_available", channel=self._channel, server=self._shown)
        self._answered_at, self._failures, self._pause_until, self.error = self._clock.monotonic(), 0, 0.0, None

    def open(self, error: str) -> None:
        error = masked_in(error, self._masked)
        self.error, self._answered_at = f"{self._shown}: {error}", None
        # Of several concurrent attempts, only the first failure starts a pause.
        if self.pause_left:
            return
        self._failures += 1
        pause_s = self._policy.pause.delay_s(self._failures, random.random())
        self._pause_until = self._clock.monotonic() + pause_s
        log.warning(
            "peer_unavailable",
            channel=self._channel,
            server=self._shown,
            error=error,
            retry_s=round(pause_s, 1),
        )


class CircuitBreakers:
    """The breakers of one channel, by key. `common_peer` is the one server that accepts all of the channel's
    deliveries; any other key is a destination."""

    def __init__(self, channel: str, common_peer: str | None, policy: DispatchPolicy, clock: Clock) -> None:
        self._channel = channel
        self._common_peer = common_peer
        self._policy = policy
        self._clock = clock
        self._breakers: dict[str, CircuitBreaker] = {}
        self._woken_all = False

    def get(self, key: str) -> CircuitBreaker:
        breaker = self._breakers.get(key)
        if breaker is None:
            if len(self._breakers) >= MAX_BREAKERS:
                self._breakers = {k: one for k, one in self._breakers.items() if one.is_open or one.recovered}
            is_destination = key != self._common_peer
            breaker = CircuitBreaker(self._channel, key, self._policy, self._clock, is_destination=is_destination)
            self._breakers[key] = breaker
        return breaker

    @property
    def untried(self) -> bool:
        """Whether this process has not tried any peer yet."""
        return all(breaker.untried for breaker in self._breakers.values())

    @property
    def error(self) -> str | None:
        """Why deliveries wait: the error of an open breaker, and the number of others that are open. None if all are
        closed."""
        errors = [breaker.error for breaker in self._breakers.values() if breaker.error is not None]
        return f"{errors[0]} (and {len(errors) - 1} more)" if len(errors) > 1 else next(iter(errors), None)

    async def wake_deferred(self, deliveries: Deliveries) -> None:
        """Makes deliveries due whose peers have become available. The first call that finds such a peer makes all
        waiting deliveries of the channel due, because some may await a peer under a name that it had before this
        process started."""
        for breaker in list(self._breakers.values()):
            if breaker.recovered:
                await deliveries.wake_deferred(self._channel, breaker.peer if self._woken_all else None)
                breaker.recovered, self._woken_all = False, True
