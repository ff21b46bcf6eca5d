"""Recording of the outcomes of deliveries: several in one transaction, retried while the store is unavailable."""

import asyncio
from collections.abc import Sequence
from typing import Final

import structlog
from msgspec.structs import replace

from application.counters import Counters
from application.delivery.dispatch_policy import DispatchPolicy
from application.ports.deliveries import Deliveries, Outcome
from application.ports.store import StoreUnavailable, Unstorable

log = structlog.get_logger(__name__)

# Recorded in place of a text that the store refuses.
UNSTORABLE_TEXT: Final = "the result of this attempt can't be stored: see the log"


class OutcomeRecorder:
    """Records the outcomes of the deliveries of one channel, called by DeliverClaim. While the store is unavailable,
    outcomes are kept in memory, recording is retried, and `store_unavailable` is True, so that Dispatcher claims no
    deliveries."""

    def __init__(self, channel: str, deliveries: Deliveries, counters: Counters, policy: DispatchPolicy) -> None:
        self.store_unavailable = False
        self._channel = channel
        self._deliveries = deliveries
        self._counters = counters
        self._policy = policy
        self._waiting: list[Outcome] = []
        self._recording = asyncio.Lock()

    async def __call__(self, outcome: Outcome) -> None:
        """Records an outcome, in one transaction with the outcomes of concurrent calls. Returns once the outcome is
        recorded, or is dropped and logged because the store refuses it."""
        self._counters.count_attempt(self._channel, _result(outcome))
        self._waiting.append(outcome)
        async with self._recording:
            if self._waiting:
                await asyncio.sleep(self._policy.batch_seconds)
                outcomes, self._waiting = self._waiting, []
                await self._record(outcomes)

    async def _record(self, outcomes: Sequence[Outcome]) -> None:
        while True:
            try:
                counted = await self._deliveries.record_outcomes(outcomes)
            except StoreUnavailable as error:
                self.store_unavailable = True
                log.warning("outcomes_not_recorded", channel=self._channel, count=len(outcomes), error=str(error))
                await asyncio.sleep(self._policy.store_retry_seconds)
            except Exception as error:
                await self._record_each(outcomes, error)
                return
            else:
                self.store_unavailable = False
                if counted < len(outcomes):
                    log.warning("outcomes_of_lost_leases", channel=self._channel, count=len(outcomes) - counted)
                return

    async def _record_each(self, outcomes: Sequence[Outcome], error: Exception) -> None:
        """Records each outcome in a transaction of its own, after one transaction with all of them has raised `error`.
        So an outcome that the store refuses does not prevent the recording of the others: it is logged, and dropped or,
        if the store refuses its text, recorded with a fixed text instead."""
        if len(outcomes) > 1:
            for outcome in outcomes:
                await self._record([outcome])
            return
        (outcome,) = outcomes
        delivery = str(outcome.claim.delivery.id)
        log.error("outcome_unrecordable", channel=self._channel, delivery_id=delivery, exc_info=error)
        attempt = outcome.attempt
        if isinstance(error, Unstorable) and attempt is not None and attempt.text != UNSTORABLE_TEXT:
            attempt = replace(attempt, text=UNSTORABLE_TEXT)
            await self._record([replace(outcome, attempt=attempt, error=outcome.error and UNSTORABLE_TEXT)])


def _result(outcome: Outcome) -> str:
    """Returns the outcome's label in metrics: `sent`, `deferred`, `refused`, `server`, `held` or `skipped`."""
    if outcome.attempt is not None:
        return outcome.attempt.result
    return "held" if outcome.status == "pending" else outcome.status
