"""Storing the plans of a batch, so that no event holds up the others for a reason of its own."""

from collections import deque
from collections.abc import AsyncIterator, Sequence

import msgspec
import structlog

from application.ports.clock import Clock
from application.ports.store import Recorded, Store, StoreTimedOut, Unstorable
from domain.planning import Plan, refused

log = structlog.get_logger(__name__)


class StoragePolicy(msgspec.Struct, frozen=True):
    """When an event that times out by itself becomes a dead letter: after `timeouts` attempts over at least
    `timeout_period_s` seconds, if other events could be stored meanwhile."""

    timeouts: int = 5
    timeout_period_s: float = 300.0


class Part(msgspec.Struct):
    """Plans to store in one transaction.

    For a single plan, `timeouts` counts its attempts that timed out, `timed_out_at` is the monotonic time of the first
    of them, and `stored_before` how many parts had been stored at the latest.
    """

    plans: tuple[Plan, ...]
    timeouts: int = 0
    timed_out_at: float = 0.0
    stored_before: int = 0


class StorePlans:
    """Stores parts in their order, each in a transaction of its own.

    A part that the store refuses for its content, or can't store in time, is halved, and the halves are tried by
    themselves. A single event that is refused becomes a dead letter immediately, one that times out when the policy
    says so. Everything else is the store's unavailability: StoreUnavailable.
    """

    def __init__(self, store: Store, clock: Clock, policy: StoragePolicy) -> None:
        self._store = store
        self._clock = clock
        self._policy = policy
        self._stored = 0  # parts, of whichever batch

    def parts(self, plans: Sequence[Plan]) -> deque[Part]:
        return deque([Part(tuple(plans))])

    async def __call__(self, parts: deque[Part]) -> AsyncIterator[Recorded]:
        """Yields what each stored part changed. A part is removed from `parts` once it is stored, so that after an
        exception the same call continues with the rest."""
        while parts:
            part = parts[0]
            try:
                recorded = await self._store.record(part.plans, self._clock.now())
            except Unstorable as error:
                if not _halve(parts):
                    parts[0] = Part((_dead_letter(part.plans[0], error),))
            except StoreTimedOut as error:
                if not _halve(parts):
                    self._timed_out(parts, error)
            else:
                parts.popleft()
                self._stored += 1
                yield recorded

    def _timed_out(self, parts: deque[Part], error: StoreTimedOut) -> None:
        """Makes the first part, a single event, a dead letter if it is due; otherwise raises."""
        part, event, now = parts[0], parts[0].plans[0], self._clock.monotonic()
        # Only what was stored since the timeout before shows that the store itself is not too slow.
        others_stored = part.timeouts > 0 and self._stored > part.stored_before
        if part.timeouts == 0:
            part.timed_out_at = now
        part.timeouts += 1
        part.stored_before = self._stored
        log.warning("event_storage_timed_out", event_id=event.event_id, timeouts=part.timeouts, error=str(error))
        policy = self._policy
        if part.timeouts < policy.timeouts or now - part.timed_out_at < policy.timeout_period_s:
            raise error
        if not others_stored:
            # The rest of the batch is tried first now: if it can be stored, the event is at fault.
            parts.rotate(-1)
            raise error
        parts[0] = Part((_dead_letter(event, error, "store_timeout"),))


def _halve(parts: deque[Part]) -> bool:
    """Replaces the first part by its halves; False for a single plan."""
    plans = parts[0].plans
    if len(plans) < 2:
        return False
    middle = len(plans) // 2
    parts[0] = Part(plans[middle:])
    parts.appendleft(Part(plans[:middle]))
    return True


def _dead_letter(plan: Plan, error: Exception, reason: str = "refused_by_store") -> Plan:
    """The plan as a dead letter. Raises the error if it is nothing else already."""
    if plan.dead_letter is not None and not (plan.addressed or plan.broadcasts or plan.mails or plan.sign_outs):
        raise error
    return refused(plan, str(error), reason)
