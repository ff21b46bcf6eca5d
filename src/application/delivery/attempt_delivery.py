"""Makes attempts to send deliveries, and derives from each result the outcome to record."""

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
from domain.safe_text import one_line

log = structlog.get_logger(__name__)


class AttemptDelivery(Generic[Prepared]):
    """Makes one attempt to send a delivery and returns its outcome, for DeliverClaim to record. Also returns the
    outcome of a delivery that is not attempted. Never raises.

    The outcome is `sent` if the peer accepted the delivery, and `failed` if the peer refused it permanently or if
    `tries` attempts have counted. Otherwise it is `pending`: the delivery is retried after a delay that grows with each
    counted attempt. An attempt does not count if the peer refused this sender rather than the delivery
    (`PeerUnavailable.refused_us`).
    """

    def __init__(self, channel: Channel[Prepared], clock: Clock, policy: DispatchPolicy) -> None:
        self._channel = channel
        self._clock = clock
        self._policy = policy

    async def send(self, claim: Claim, prepared: Prepared, deadline: float) -> Outcome:
        """Makes one attempt to send the delivery and returns the outcome. `deadline` is a time of `Clock.monotonic`, in
        seconds: the channel has to give up by then, and is cancelled `overrun_seconds` later if it has not."""
        at, began = self._clock.now(), self._clock.monotonic()
        result, error = await self._send(claim.delivery, prepared, deadline)
        text = one_line(str(error), MAX_REPLY_LENGTH)
        attempt = Attempt(at, self._clock.monotonic() - began, result, error.code, text)
        counts = not (isinstance(error, PeerUnavailable) and error.refused_us)
        return self._logged(self._outcome(claim, attempt, counts))

    def refuse(self, claim: Claim, refusal: Refusal) -> Outcome:
        """Returns the outcome of a delivery for which `Channel.prepare` returned a Refusal. The delivery is failed,
        skipped, or pending and retried later, according to `refusal.status`. If it stays pending, this does not count
        as an attempt."""
        ends = refusal.status != "pending"
        text = one_line(refusal.text, MAX_REPLY_LENGTH)
        attempt = Attempt(self._clock.now(), 0.0, "refused" if ends else "deferred", None, text)
        if refusal.status == "skipped":
            return self._logged(Outcome(claim, attempt, "skipped", text))
        return self._logged(self._outcome(claim, attempt, counts=ends))

    def fail(self, claim: Claim, error: Exception) -> Outcome:
        """Returns the outcome of a delivery whose preparation raised an exception, which is a programming error. It
        counts as an attempt: the delivery is retried, and fails after `tries` counted attempts."""
        attempt = Attempt(self._clock.now(), 0.0, "deferred", None, f"{type(error).__name__}: see the log")
        return self._logged(self._outcome(claim, attempt, counts=True))

    def withhold(self, claim: Claim, decision: Hold | Skip) -> Outcome:
        """Returns the outcome of a delivery that is not attempted, according to the decision of send_decision.py:
        pending and due at `until` for Hold, skipped for Skip."""
        if isinstance(decision, Skip):
            return self._logged(Outcome(claim, None, "skipped", decision.rule, counts=False))
        seconds = max(0.0, (decision.until - self._clock.now()).total_seconds())
        return self._logged(Outcome(claim, None, "pending", decision.rule, seconds, counts=False))

    async def _send(self, delivery: Delivery, prepared: Prepared, deadline: float) -> tuple[Result, NotSent]:
        """Calls `Channel.send`. Returns the result of the attempt (`sent`, `refused`, `deferred` or `server`) and the
        peer's reply as a NotSent object, which holds code and text of the reply even if the delivery was sent."""
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
        """Logs the outcome and returns it unchanged. In the log, the e-mail address of the destination is masked."""
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
