"""Processing of one claimed delivery: decide whether to send it, prepare it, send it, record the outcome."""

import asyncio
from typing import Generic

import structlog

from application.counters import Counters
from application.delivery.attempt_delivery import AttemptDelivery
from application.delivery.breaker import CircuitBreaker, CircuitBreakers
from application.delivery.channel import Channel, Prepared, Refusal, TemplateMissing
from application.delivery.dispatch_policy import DispatchPolicy
from application.delivery.outcome_recorder import OutcomeRecorder
from application.delivery.send_decision import Decide, Send
from application.delivery.template_availability import UsableTemplates
from application.log_context import bind_delivery
from application.ports.clock import Clock
from application.ports.deliveries import Claim, Deliveries, Outcome
from application.ports.store import StoreUnavailable
from domain.deliveries import MAX_REPLY_LENGTH
from domain.safe_text import one_line

log = structlog.get_logger(__name__)


class DeliverClaim(Generic[Prepared]):
    """Processes one claimed delivery: decides whether to send it, prepares it, sends it, and records the outcome.
    Dispatcher calls this for several claims concurrently; at most `at_once` of them send at the same time. Once
    `stopping` is True, no attempt begins, and claims that would need one are released."""

    def __init__(
        self,
        channel: Channel[Prepared],
        deliveries: Deliveries,
        clock: Clock,
        counters: Counters,
        policy: DispatchPolicy,
        decide: Decide,
        templates: UsableTemplates,
        breakers: CircuitBreakers,
        record: OutcomeRecorder,
    ) -> None:
        self.stopping = False
        self._channel = channel
        self._deliveries = deliveries
        self._clock = clock
        self._counters = counters
        self._policy = policy
        self._decide = decide
        self._templates = templates
        self._breakers = breakers
        self._record = record
        self._attempt = AttemptDelivery(channel, clock, policy)
        self._sending = asyncio.Semaphore(policy.at_once)
        self._unrecorded = asyncio.Semaphore(2 * policy.at_once)
        self._preparing = 0

    @property
    def is_preparing(self) -> bool:
        return self._preparing > 0

    async def __call__(self, claim: Claim, claimed_at: float) -> None:
        item = claim.delivery.item
        bind_delivery(str(claim.delivery.id), item.origin, item.event_id)
        decision = self._decide(claim.delivery, claim.preferences, self._clock.now())
        if not isinstance(decision, Send):
            await self._record(self._attempt.withhold(claim, decision))
            return
        try:
            prepared = await self._prepare(claim, claimed_at + self._policy.lease_seconds)
            breaker = self._breakers.get(self._channel.breaker_key(claim.delivery))
        except Exception as error:
            # A programming error must not lose the delivery.
            log.exception("delivery_not_prepared", channel=self._channel.name, delivery_id=str(claim.delivery.id))
            await self._record(self._attempt.fail(claim, error))
            return
        if isinstance(prepared, TemplateMissing):
            prepared = await self._without_template(claim, prepared)
        if prepared is None:
            return
        if isinstance(prepared, Refusal):
            # No attempt follows, so no slot is needed.
            await self._record(self._attempt.refuse(claim, prepared))
            return
        self._templates.add(claim.delivery.item.template)
        async with self._unrecorded:
            async with self._sending:
                outcome = await self._send(claim, prepared, claimed_at, breaker)
            if outcome is not None:
                await self._record(outcome)

    async def _prepare(self, claim: Claim, deadline: float) -> Prepared | Refusal | TemplateMissing | None:
        """Returns the result of `Channel.prepare`. If there is no result at `deadline`, the end of the lease in seconds
        of `Clock.monotonic`, releases the claim and returns None. This happens if too many other deliveries are
        prepared first."""
        delivery = claim.delivery
        self._preparing += 1
        try:
            async with asyncio.timeout(deadline - self._clock.monotonic()):
                return await self._channel.prepare(delivery)
        except TimeoutError:
            await self._release(claim)
            return None
        finally:
            self._preparing -= 1

    async def _without_template(self, claim: Claim, missing: TemplateMissing) -> Refusal | None:
        """Handles a delivery whose template is missing or unusable on this node: releases the claim, so that another
        node can send the delivery, and returns None. This node then claims no deliveries with that template for
        `template_pause_seconds`. Returns a Refusal instead if all nodes have lacked the template for
        `template_wait_seconds`."""
        delivery, wait = claim.delivery, self._policy.template_wait_seconds
        since = delivery.unrendered_since
        if since is not None and (self._clock.now() - since).total_seconds() >= wait:
            return Refusal(f"no node has had a usable template for {wait / 60:g} minutes: {missing.text}")
        self._counters.count_attempt(self._channel.name, "left_to_others")
        if self._templates.remove(delivery.item.template):
            retry_s = self._policy.template_pause_seconds
            log.warning(
                "template_unavailable",
                channel=self._channel.name,
                template=delivery.item.template,
                error=missing.text,
                retry_s=retry_s,
            )
        try:
            await self._deliveries.leave_to_others([claim], one_line(missing.text, MAX_REPLY_LENGTH))
        except StoreUnavailable as error:
            log.warning("lease_not_released", delivery_id=str(delivery.id), error=str(error))
        return None

    async def _send(
        self, claim: Claim, prepared: Prepared, claimed_at: float, breaker: CircuitBreaker
    ) -> Outcome | None:
        """Makes one attempt and returns its outcome. If the dispatcher is stopping or too little of the lease is left
        for an attempt, releases the claim and returns None instead. If the peer is unavailable, postpones the delivery
        (`_await_peer`)."""
        began, attempt_seconds = self._clock.monotonic(), self._policy.attempt_seconds
        if self.stopping or began > claimed_at + attempt_seconds:
            await self._release(claim)
            return None
        if not breaker.admits():
            return await self._await_peer(claim, breaker)
        with breaker.attempt():
            return breaker.update(await self._attempt.send(claim, prepared, began + attempt_seconds), began)

    async def _await_peer(self, claim: Claim, breaker: CircuitBreaker) -> Outcome | None:
        """Postpones a delivery whose peer is unavailable. If the channel has only this peer, releases the claim and
        returns None: the delivery stays due, and the dispatcher claims at most one delivery at a time until the peer is
        available. If the channel has many peers, returns an outcome by which the delivery is due after the pause, or as
        soon as the peer is available."""
        if self._channel.peer is not None:
            await self._release(claim)
            return None
        seconds = max(breaker.pause_left, self._policy.pause.initial_s)
        return Outcome(claim, None, "pending", breaker.error, seconds, counts=False, awaited_peer=breaker.peer)

    async def _release(self, claim: Claim) -> None:
        try:
            await self._deliveries.release([claim])
        except StoreUnavailable as error:
            log.warning("lease_not_released", delivery_id=str(claim.delivery.id), error=str(error))
