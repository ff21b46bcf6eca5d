"""Circuit breakers: they stop the sending of deliveries to a peer while it is unavailable, according to the attempts of
this process."""

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
    """Decides whether an attempt to send a delivery to one peer may begin. Used by Dispatcher and DeliverClaim.

    While the peer is available the breaker is closed, and attempts are not limited. It opens when an attempt finds the
    peer unavailable. No attempt begins during the pause that follows; after the pause, a single attempt tries the peer.
    If the peer answers, the breaker closes; otherwise a longer pause begins.

    `error` is the reason for which the breaker is open, with the name of the peer; None while it is closed. Set
    `is_destination` if the peer is a destination, such as an e-mail address: the address is then masked in the log and
    in `error`, because `/health` shows `error` without a token.
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
        """True while the availability of the peer is unknown: no attempt of this process has yet received an answer
        from the peer or found the peer unavailable."""
        return self._answered_at is None and not self.is_open

    @property
    def is_open(self) -> bool:
        return self._failures > 0

    @property
    def pause_left(self) -> float:
        """The remaining seconds of the pause during which no attempt may begin; 0 if there is no pause now."""
        return max(0.0, self._pause_until - self._clock.monotonic())

    def admits(self) -> bool:
        """Returns whether an attempt may begin now. While the breaker is closed: always. While it is open: only after
        the pause, and only one attempt at a time."""
        return not self.is_open or not (self.pause_left or self._trying)

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """Context manager for an attempt that `admits` has allowed. If the breaker is open, `admits` allows no other
        attempt until the context ends."""
        is_trial = self.is_open
        self._trying = self._trying or is_trial
        try:
            yield
        finally:
            if is_trial:
                self._trying = False

    def update(self, outcome: Outcome, began: float) -> Outcome:
        """Closes the breaker if the peer answered the attempt, and opens it if the attempt found the peer unavailable.
        Returns the outcome to record. `began` is the time at which the attempt began, in seconds of `Clock.monotonic`.

        If this attempt found the peer unavailable, but another attempt has received an answer since `began`, the peer
        is available and only refuses so many concurrent deliveries. The breaker then stays closed, and the returned
        outcome has no `awaited_peer`: the delivery is retried after its usual delay.
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
    """The circuit breakers of one channel, one for each peer; `get` creates them on first use. `common_peer` is the
    peer that accepts all deliveries of the channel (the mail server, for `email`); None if each destination is a peer
    of its own."""

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
        """True while the availability of every peer is unknown: no attempt of this process has yet received an answer
        from any peer or found one unavailable."""
        return all(breaker.untried for breaker in self._breakers.values())

    @property
    def error(self) -> str | None:
        """Why deliveries of the channel wait: the error of one open breaker, followed by `(and 2 more)` if two others
        are open too. None if all breakers are closed."""
        errors = [breaker.error for breaker in self._breakers.values() if breaker.error is not None]
        return f"{errors[0]} (and {len(errors) - 1} more)" if len(errors) > 1 else next(iter(errors), None)

    async def wake_deferred(self, deliveries: Deliveries) -> None:
        """Makes due immediately the deliveries that were deferred because their peer was unavailable, if that peer has
        answered since. Raises StoreUnavailable.

        The first call in a process that finds such a peer makes all deferred deliveries of the channel due, whichever
        peer they wait for: a peer may have been renamed in the settings before the process started.
        """
        for breaker in list(self._breakers.values()):
            if breaker.recovered:
                await deliveries.wake_deferred(self._channel, breaker.peer if self._woken_all else None)
                breaker.recovered, self._woken_all = False, True
