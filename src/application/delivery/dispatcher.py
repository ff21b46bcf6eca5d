"""The dispatcher: sends the due deliveries of one channel. Every node may run one for the same channel."""

import asyncio
import random
from collections.abc import Callable, Collection
from contextlib import suppress
from typing import Generic

import structlog

from application.counters import Counters
from application.delivery.breaker import CircuitBreaker, CircuitBreakers
from application.delivery.channel import Channel, PeerUnavailable, Prepared
from application.delivery.deliver_claim import DeliverClaim
from application.delivery.dispatch_policy import DispatchPolicy
from application.delivery.outcome_recorder import OutcomeRecorder
from application.delivery.send_decision import Decide, decide
from application.delivery.template_availability import UsableTemplates
from application.ports.clock import Clock
from application.ports.deliveries import Deliveries
from application.ports.store import StoreUnavailable

log = structlog.get_logger(__name__)


class Dispatcher(Generic[Prepared]):
    """Sends the due deliveries of one channel, from `start` until `stop`: claims them, and for each decides whether to
    send it, prepares it, sends it, and records the outcome (DeliverClaim). Dispatchers of several nodes share the work.

    A delivery that the peer has confirmed is not sent again, except after a crash. Only the node that holds the lease
    of a delivery attempts to send it, and only if the lease lasts for a whole attempt. If the process crashes after the
    peer has accepted a delivery and before the outcome is recorded, the delivery is sent again under the same id. This
    can happen to at most 2 × `at_once` deliveries, because no more of them are being sent, or are sent and not
    recorded, at any time.

    While a peer is unavailable, its circuit breaker is open. A channel with one peer then claims a single delivery
    after each pause, to try the peer; if no delivery is due, it probes the peer. On a channel with many peers, the
    deliveries to unavailable peers are deferred. When the peer is available again, its deferred deliveries are due
    immediately.
    """

    def __init__(
        self,
        channel: Channel[Prepared],
        deliveries: Deliveries,
        clock: Clock,
        counters: Counters,
        policy: DispatchPolicy,
        templates: Callable[[], Collection[str]] = tuple,
        decide: Decide = decide,
    ) -> None:
        """`templates` returns the names of the templates that the routes in force use for the channel. `decide` decides
        whether a delivery is sent now, later, or never."""
        self._channel = channel
        self._deliveries = deliveries
        self._clock = clock
        self._policy = policy
        self._templates = UsableTemplates(templates, policy, clock)
        self._breakers = CircuitBreakers(channel.name, channel.peer, policy, clock)
        self._record = OutcomeRecorder(channel.name, deliveries, counters, policy)
        self._deliver = DeliverClaim(
            channel, deliveries, clock, counters, policy, decide, self._templates, self._breakers, self._record
        )
        self._working: set[asyncio.Task[None]] = set()
        self._loop: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()
        self._stopping = False

    @property
    def channel(self) -> str:
        return self._channel.name

    @property
    def peer(self) -> str:
        """The name that `/health` shows: the channel's only peer, such as `mail.example.com:25`; the name of the
        channel if each destination is a peer of its own."""
        return self._channel.peer or self._channel.name

    @property
    def untried(self) -> bool:
        """True while the availability of every peer is unknown: no attempt of this process has yet received an answer
        from any peer or found one unavailable."""
        return self._breakers.untried

    @property
    def error(self) -> str | None:
        """The error of an unavailable peer, whose deliveries wait; None if no peer is known to be unavailable."""
        return self._breakers.error

    def start(self) -> None:
        self._loop = asyncio.create_task(self._run(), name=f"deliveries {self.channel}")

    async def stop(self, timeout_s: float) -> None:
        """Stops the dispatcher: no further attempt begins, and attempts in progress have `timeout_s` seconds to finish
        before they are cancelled. Closes the channel. May be called again."""
        if self._loop is None:
            return
        loop, self._loop = self._loop, None
        self._stopping = self._deliver.stopping = True
        self._wake.set()
        deadline = self._clock.monotonic() + timeout_s
        # Wait for a claim in progress: deliveries that it has leased would otherwise wait until their leases expire.
        await asyncio.wait({loop}, timeout=timeout_s)
        if self._working:
            await asyncio.wait(self._working, timeout=max(0.0, deadline - self._clock.monotonic()))
        unfinished = {loop, *self._working}
        for task in unfinished:
            task.cancel()
        await asyncio.gather(*unfinished, return_exceptions=True)
        await self._channel.close()

    async def _run(self) -> None:
        while not self._stopping:
            try:
                if templates := self._templates.report():
                    await self._deliveries.clear_unrendered(self.channel, templates)
                claimed = await self._claim()
            except StoreUnavailable as error:
                log.warning("deliveries_not_claimed", channel=self.channel, error=str(error))
                await self._wait_for_store()
            except Exception:
                log.exception("deliveries_not_claimed", channel=self.channel)
                await asyncio.sleep(self._policy.store_retry_seconds)
            else:
                if not claimed:
                    await self._wait_for_work()

    async def _claim(self) -> bool:
        """Claims due deliveries, and starts a task that processes each. Returns whether it claimed any. Up to 4 ×
        `at_once` deliveries are claimed at the same time, so that the next ones are prepared while others are being
        sent. While the channel's only peer is unavailable, one delivery is claimed at a time."""
        await self._breakers.wake_deferred(self._deliveries)
        shared = self._shared_breaker()
        most, least = 4 * self._policy.at_once, 2 * self._policy.at_once
        if shared is not None and shared.is_open:
            most, least = 1, 1
        room = most - len(self._working)
        # While templates are being rendered, further claims would only wait, and their leases would expire.
        if room < least or self._deliver.is_preparing or self._record.store_unavailable:
            return False
        if shared is not None and shared.pause_left:
            return False
        claimed_at = self._clock.monotonic()
        lease_seconds = self._policy.lease_seconds
        claims = await self._deliveries.claim(self.channel, room, lease_seconds, self._templates.unusable)
        if shared is not None and shared.is_open and not claims:
            await self._probe(shared)
        for claim in claims:
            task = asyncio.create_task(self._deliver(claim, claimed_at))
            self._working.add(task)
            task.add_done_callback(self._done)
        return bool(claims)

    def _shared_breaker(self) -> CircuitBreaker | None:
        """Returns the circuit breaker of the channel's only peer; None if each destination is a peer of its own."""
        return None if self._channel.peer is None else self._breakers.get(self._channel.peer)

    async def _wait_for_store(self) -> None:
        """Waits until the store is available again, and for another 2 × `store_retry_seconds`. In this time all nodes
        can record the outcomes of attempts made during the outage. Otherwise a delivery that has been sent could be
        claimed again if its lease has expired."""
        while not self._stopping:
            await asyncio.sleep(self._policy.store_retry_seconds)
            with suppress(StoreUnavailable):
                await self._deliveries.newest(1)
                await asyncio.sleep(2 * self._policy.store_retry_seconds)
                return

    async def _wait_for_work(self) -> None:
        """Waits until the processing of a delivery ends, at most for `poll_seconds` (varied at random by up to 25 %, so
        that nodes query the store at different times)."""
        if self._stopping:
            return
        self._wake.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(self._policy.poll_seconds * random.uniform(0.75, 1.25)):
                await self._wake.wait()

    def _done(self, task: asyncio.Task[None]) -> None:
        self._working.discard(task)
        self._wake.set()

    async def _probe(self, breaker: CircuitBreaker) -> None:
        deadline = self._clock.monotonic() + self._policy.attempt_seconds
        try:
            await self._channel.probe(breaker.peer, deadline)
        except PeerUnavailable as error:
            breaker.open(str(error))
        else:
            breaker.close()
