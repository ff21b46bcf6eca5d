"""Storing the plans of a batch in parts, so that an event that can't be stored does not block the others."""

from collections import deque
from collections.abc import AsyncIterator, Iterable

import msgspec
import structlog

from application.ports.clock import Clock
from application.ports.store import Recorded, Store, StoreTimedOut, Unstorable
from domain.fanout import Size, divided, size_of
from domain.planning import Plan, refused

log = structlog.get_logger(__name__)


class StoragePolicy(msgspec.Struct, frozen=True):
    """Limits of one transaction: at most `rows`, and about `bytes` of text. A single event that times out becomes a
    dead letter after `timeouts` attempts over at least `timeout_period_s` seconds, if other events could be stored in
    that time."""

    rows: int = 5_000
    bytes: int = 32 * 1024 * 1024
    timeouts: int = 5
    timeout_period_s: float = 300.0


class DividedEvent(msgspec.Struct):
    """An event that is stored in several parts: the number of parts that are left, and whether all parts that were
    stored so far were duplicates."""

    left: int
    is_duplicate: bool = True


class Part(msgspec.Struct):
    """Plans to store in one transaction. `event` is set if the part has only a piece of one event's plan.

    For a single plan, `timeouts` counts its attempts that timed out, `timed_out_at` is the monotonic time of the first
    one, and `stored_before` the number of parts that had been stored at the time of the latest one.
    """

    plans: tuple[Plan, ...]
    event: DividedEvent | None = None
    timeouts: int = 0
    timed_out_at: float = 0.0
    stored_before: int = 0


class StorePlans:
    """Stores parts in their order, each in its own transaction.

    A part that the store refuses for its content, or can't store in time, is halved, and the halves are tried
    separately. A single event that is refused becomes a dead letter immediately. A single event that times out becomes
    one after the number of attempts and the time that the policy defines. In all other cases the store is unavailable:
    raises StoreUnavailable.
    """

    def __init__(self, store: Store, clock: Clock, policy: StoragePolicy) -> None:
        self._store = store
        self._clock = clock
        self._policy = policy
        self._stored = 0  # parts of all batches

    def parts(self, plans: Iterable[Plan]) -> deque[Part]:
        """Returns the plans in parts of at most the policy's size. A larger plan is divided into several parts."""
        most = Size(self._policy.rows, self._policy.bytes)
        parts: deque[Part] = deque()
        together: list[Plan] = []
        rows = size = 0
        for plan in plans:
            added = size_of(plan)
            if together and (rows + added.rows > most.rows or size + added.bytes > most.bytes):
                parts.append(Part(tuple(together)))
                together, rows, size = [], 0, 0
            if added.rows > most.rows or added.bytes > most.bytes:
                parts.extend(_parts_of(tuple(divided(plan, most))))
                continue
            together.append(plan)
            rows, size = rows + added.rows, size + added.bytes
        if together:
            parts.append(Part(tuple(together)))
        return parts

    async def __call__(self, parts: deque[Part]) -> AsyncIterator[Recorded]:
        """Stores all parts, and yields what each of them changed. A stored part is removed from `parts`, so that after
        an exception the same call continues with the rest. An event that is stored in several parts counts as a
        duplicate once, with the last of them."""
        while parts:
            part = parts[0]
            try:
                recorded = await self._store.record(part.plans, self._clock.now())
            except Unstorable as error:
                if not _halve_plans(parts):
                    _give_up(parts, error, "refused_by_store")
            except StoreTimedOut as error:
                if not (_halve_plans(parts) or _halve_recipients(parts)):
                    self._timed_out(parts, error)
            else:
                parts.popleft()
                self._stored += 1
                yield recorded if part.event is None else _counted_once(part.event, recorded)

    def _timed_out(self, parts: deque[Part], error: StoreTimedOut) -> None:
        """Makes the first part, a single event, a dead letter if the policy's limits are reached; otherwise raises the
        error."""
        part, event, now = parts[0], parts[0].plans[0], self._clock.monotonic()
        # Only parts stored since the previous timeout show that the store itself is not too slow.
        others_stored = part.timeouts > 0 and self._stored > part.stored_before
        if part.timeouts == 0:
            part.timed_out_at = now
        part.timeouts += 1
        part.stored_before = self._stored
        log.warning(
            "event_storage_timed_out",
            origin=event.origin,
            event_id=event.event_id,
            timeouts=part.timeouts,
            error=str(error),
        )
        policy = self._policy
        if part.timeouts < policy.timeouts or now - part.timed_out_at < policy.timeout_period_s:
            raise error
        if not others_stored:
            # Next time, the rest of the batch is tried first: if it can be stored, this event is the cause.
            parts.rotate(-1)
            raise error
        _give_up(parts, error, "store_timeout")


def _parts_of(pieces: tuple[Plan, ...]) -> list[Part]:
    event = DividedEvent(len(pieces)) if len(pieces) > 1 else None
    return [Part((piece,), event) for piece in pieces]


def _halve_plans(parts: deque[Part]) -> bool:
    """Replaces the first part by its halves. Returns False if it has a single plan."""
    plans = parts[0].plans
    if len(plans) < 2:
        return False
    middle = len(plans) // 2
    parts[0] = Part(plans[middle:])
    parts.appendleft(Part(plans[:middle]))
    return True


def _halve_recipients(parts: deque[Part]) -> bool:
    """Replaces the first part, a single plan, by parts for half of its recipients each. Returns False if it has a
    single row."""
    part = parts[0]
    rows, size = size_of(part.plans[0])
    pieces = tuple(divided(part.plans[0], Size((rows + 1) // 2, size)))
    if len(pieces) < 2:
        return False
    event = part.event or DividedEvent(1)
    event.left += len(pieces) - 1
    parts.popleft()
    parts.extendleft(Part((piece,), event) for piece in reversed(pieces))
    return True


def _give_up(parts: deque[Part], error: Exception, reason: str) -> None:
    """Replaces the first part, a single plan, by a dead letter of its event, and drops the event's other parts. If the
    plan consists only of a dead letter already, raises the error."""
    part = parts.popleft()
    plan = part.plans[0]
    if plan.dead_letter is not None and not (plan.addressed or plan.broadcasts or plan.deliveries or plan.sign_outs):
        parts.appendleft(part)
        raise error
    if part.event is not None:
        others = [other for other in parts if other.event is not part.event]
        parts.clear()
        parts.extend(others)
    parts.appendleft(Part((refused(plan, str(error), reason),)))


def _counted_once(event: DividedEvent, recorded: Recorded) -> Recorded:
    event.left -= 1
    event.is_duplicate = event.is_duplicate and recorded.duplicates > 0
    return recorded if event.is_duplicate and event.left == 0 else msgspec.structs.replace(recorded, repeated=())
