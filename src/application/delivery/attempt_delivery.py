"""One attempt at one delivery, and its outcome."""

import asyncio
import random
from typing import Generic

import structlog

from application.delivery.channel import Channel, Deferred, NotSent, PeerUnavailable, Prepared, Refusal, Refused
from application.delivery.dispatch_policy import DispatchPolicy
from application.delivery.send_decision import Hold, Skip
from application.ports.clock import Clock
from application.ports.deliveries import Claim, Outcome
from domain.deliveries import MAX_REPLY_LENGTH, Attempt, Delivery, Result
from domain.email_addresses import masked, masked_in
from domain.text import one_line

log = structlog.get_logger(__name__)


class AttemptDelivery(Generic[Prepared]):
    """Sends a prepared delivery, or states why it is not sent. Never raises.

    A delivery that was sent or permanently refused is final. In all other cases it is retried, after growing delays,
    until `tries` attempts have counted. An attempt in which the peer refused this sender, not the delivery, does not
    count.
    """

    def __init__(self, channel: Channel[Prepared], clock: Clock, policy: DispatchPolicy) -> None:
        self._channel = channel
        self._clock = clock
        self._policy = policy

    async def send(self, claim: Claim, prepared: Prepared, deadline: float) -> Outcome:
        """Makes one attempt, which gives up at the deadline (of `Clock.monotonic`), and returns its outcome."""
        at, began = self._clock.now(), self._clock.monotonic()
        result, error = await self._send(claim.delivery, prepared, deadline)
        text = one_line(str(error), MAX_REPLY_LENGTH)
        attempt = Attempt(at, self._clock.monotonic() - began, result, error.code, text)
        counts = not (isinstance(error, PeerUnavailable) and error.refused_us)
        return self._logged(self._outcome(claim, attempt, counts))

    def refuse(self, claim: Claim, refusal: Refusal) -> Outcome:
        """Returns the outcome of a delivery that could not be prepared."""
        ends = refusal.status != "pending"
        text = one_line(refusal.text, MAX_REPLY_LENGTH)
        attempt = Attempt(self._clock.now(), 0.0, "refused" if ends else "deferred", None, text)
        if refusal.status == "skipped":
            return self._logged(Outcome(claim, attempt, "skipped", text))
        return self._logged(self._outcome(claim, attempt, counts=ends))

    def fail(self, claim: Claim, error: Exception) -> Outcome:
        """Returns the outcome of a programming error before the attempt. It counts as an attempt: a delivery that can
        never be prepared fails after `tries` of them."""
        attempt = Attempt(self._clock.now(), 0.0, "deferred", None, f"{type(error).__name__}: see the log")
        return self._logged(self._outcome(claim, attempt, counts=True))

    def withhold(self, claim: Claim, decision: Hold | Skip) -> Outcome:
        """Returns the outcome of a delivery that a rule holds or skips."""
        if isinstance(decision, Skip):
            return self._logged(Outcome(claim, None, "skipped", decision.rule, counts=False))
        seconds = max(0.0, (decision.until - self._clock.now()).total_seconds())
        return self._logged(Outcome(claim, None, "pending", decision.rule, seconds, counts=False))

    async def _send(self, delivery: Delivery, prepared: Prepared, deadline: float) -> tuple[Result, NotSent]:
        """Returns the result of the attempt, and the peer's reply in the form of an error."""
        limit_s = deadline - self._clock.monotonic() + self._policy.overrun_seconds
        try:
            # A channel that ignores its deadline must not keep its place for ever.
            async with asyncio.timeout(limit_s):
                receipt = await self._channel.send(prepared, deadline)
        except Refused as error:
            return "refused", error
        except PeerUnavailable as error:
            return "server", error
        except NotSent as error:
            return "deferred", error
        except Exception as error:
            # A programming error must not lose the delivery.
            log.exception("delivery_not_sent", channel=self._channel.name, delivery_id=str(delivery.id))
            return "deferred", Deferred(f"{type(error).__name__}: see the log")
        return "sent", NotSent(receipt.text, receipt.code)

    def _outcome(self, claim: Claim, attempt: Attempt, counts: bool) -> Outcome:
        if attempt.result == "sent":
            return Outcome(claim, attempt, "sent")
        if attempt.result == "refused":
            return Outcome(claim, attempt, "failed", attempt.reply)
        counted = claim.delivery.counted_attempts + counts
        if counted >= self._policy.tries:
            return Outcome(claim, attempt, "failed", f"given up after {counted} attempts: {attempt.reply}")
        retry_in = self._policy.retry.delay_s(max(counted, 1), random.random())
        peer = self._channel.breaker_key(claim.delivery) if attempt.result == "server" else None
        return Outcome(claim, attempt, "pending", attempt.reply, retry_in, counts, awaited_peer=peer)

    def _logged(self, outcome: Outcome) -> Outcome:
        """Logs the outcome and returns it. Addresses are masked."""
        delivery, attempt = outcome.claim.delivery, outcome.attempt
        channel, id, to = delivery.channel, str(delivery.id), masked(delivery.destination)
        kind, rule = delivery.item.type, masked_in(outcome.error or "", delivery.destination)
        if outcome.status == "sent":
            log.info("delivery_sent", channel=channel, delivery_id=id, to=to, event_type=kind)
        elif outcome.status == "skipped":
            log.info("delivery_skipped", channel=channel, delivery_id=id, to=to, event_type=kind, rule=rule)
        elif attempt is None:
            log.info("delivery_held", channel=channel, delivery_id=id, to=to, event_type=kind, rule=rule)
        else:
            code, error = attempt.code, masked_in(attempt.text, delivery.destination)
            if outcome.status == "failed":
                log.warning(
                    "delivery_failed",
                    channel=channel,
                    delivery_id=id,
                    to=to,
                    event_type=kind,
                    reply_code=code,
                    error=error,
                )
            else:
                log.info(
                    "delivery_deferred",
                    channel=channel,
                    delivery_id=id,
                    to=to,
                    event_type=kind,
                    reply_code=code,
                    error=error,
                )
        return outcome
