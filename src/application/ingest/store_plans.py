"""Stores the plans of a batch in several transactions, so that an event that can't be stored does
not block the others."""

from collections import deque
from collections.abc import AsyncIterator, Iterable

import msgspec
import structlog

from application.ports.clock import Clock
from application.ports.store import Recorded, Store, StoreTimedOut, Unstorable
from domain.dead_letter_reasons import DeadLetterReason
from domain.fanout import Size, divided, size_of
from domain.plans import Plan, refused

log = structlog.get_logger(__name__)


class StoragePolicy(msgspec.Struct, frozen=True):
    """Limits of StorePlans. A transaction stores at most `rows` rows and about `bytes` bytes of text.

    An event whose own transaction times out becomes a dead letter after at least `timeouts` attempts and
    `timeout_period_s` seconds, but only if other events could be stored meanwhile: otherwise the store itself is too
    slow.
    """

    rows: int = 5_000
    bytes: int = 32 * 1024 * 1024
    timeouts: int = 5
    timeout_period_s: float = 300.0


class DividedEvent(msgspec.Struct):
    """The progress of storing one event whose `plan` is too large for one transaction and was divided into several
    parts. `left` is the number of parts that are not stored yet. `is_duplicate` is True as long as every stored part
    contained only entries that were stored before."""

    plan: Plan
    left: int
    is_duplicate: bool = True


class Part(msgspec.Struct):
    """The plans that are stored in one transaction: those of several events, or a piece of one large plan. In the
    latter case, `event` is the progress of that event, which all its parts share.

    If storing a part with a single plan times out, `timeouts` counts such attempts, `timed_out_at` is the monotonic
    time of the first one, and `stored_before` the number of parts that this process had stored at the latest one.
    """

    plans: tuple[Plan, ...]
    event: DividedEvent | None = None
    timeouts: int = 0
    timed_out_at: float = 0.0
    stored_before: int = 0


class StoredPart(msgspec.Struct, frozen=True):
    """A part that was stored. `recorded` is what was new in it. `events` are the plans of the events of which nothing
    is left to be stored: none, if the part was a piece of a large plan and other pieces follow."""

    recorded: Recorded
    events: tuple[Plan, ...]


class StorePlans:
    """Stores the plans of a batch in parts, each part in one transaction, in order.

    If the store refuses a part or times out, the part is halved until a single event is left. A single event that the
    store refuses becomes a dead letter immediately. A single event that times out is divided by its recipients; if it
    still times out, it becomes a dead letter when the limits of StoragePolicy are reached. Until then, and if the store
    can't be reached, raises StoreUnavailable.
    """

    def __init__(self, store: Store, clock: Clock, policy: StoragePolicy) -> None:
        self._store = store
        self._clock = clock
        self._policy = policy
        self._stored = 0  # parts of all batches

    def parts(self, plans: Iterable[Plan]) -> deque[Part]:
        """Returns the plans, in order, as parts for one transaction each. A part has at most the `rows` and `bytes` of
        the policy; a plan that exceeds them is divided into several parts."""
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
                parts.extend(_parts_of(plan, tuple(divided(plan, most))))
                continue
            together.append(plan)
            rows, size = rows + added.rows, size + added.bytes
        if together:
            parts.append(Part(tuple(together)))
        return parts

    async def __call__(self, parts: deque[Part]) -> AsyncIterator[StoredPart]:
        """Stores the parts in order, and yields each. Each stored part is removed from `parts`, so that after
        StoreUnavailable another call with the same `parts` stores the rest. An event that was divided into several
        parts is reported, also as a duplicate, once, with its last part."""
        while parts:
            part = parts[0]
            try:
                recorded = await self._store.record(part.plans, self._clock.now())
            except Unstorable as error:
                if not _halve_plans(parts):
                    _give_up(parts, error, "refused_by_store")
            except StoreTimedOut as error:
                if not (_halve_plans(parts) or _halve_recipients(parts)):
                    self._handle_timeout(parts, error)
            else:
                parts.popleft()
                self._stored += 1
                yield StoredPart(recorded, part.plans) if part.event is None else _piece(part.event, recorded)

    def _handle_timeout(self, parts: deque[Part], error: StoreTimedOut) -> None:
        """Handles a timeout of storing the first part, which has a single plan. Replaces the part by a dead letter if
        the limits of StoragePolicy are reached; otherwise raises the error, so that the caller tries again."""
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


def _parts_of(plan: Plan, pieces: tuple[Plan, ...]) -> list[Part]:
    event = DividedEvent(plan, len(pieces)) if len(pieces) > 1 else None
    return [Part((piece,), event) for piece in pieces]


def _halve_plans(parts: deque[Part]) -> bool:
    """Divides the first part in two, each with half of its plans. Returns False, with no effect, if it has a single
    plan."""
    plans = parts[0].plans
    if len(plans) < 2:
        return False
    middle = len(plans) // 2
    parts[0] = Part(plans[middle:])
    parts.appendleft(Part(plans[:middle]))
    return True


def _halve_recipients(parts: deque[Part]) -> bool:
    """Divides the first part, which has a single plan, into parts of half as many rows (recipients). Returns False,
    with no effect, if the plan can't be divided further."""
    part = parts[0]
    rows, size = size_of(part.plans[0])
    pieces = tuple(divided(part.plans[0], Size((rows + 1) // 2, size)))
    if len(pieces) < 2:
        return False
    event = part.event or DividedEvent(part.plans[0], 1)
    event.left += len(pieces) - 1
    parts.popleft()
    parts.extendleft(Part((piece,), event) for piece in reversed(pieces))
    return True


def _give_up(parts: deque[Part], error: Exception, reason: DeadLetterReason) -> None:
    """Replaces the first part, which has a single plan, by a part that stores the event as a dead letter, and removes
    the other parts of the same event. Raises the error if the first part contains only a dead letter: then the dead
    letter can't be stored either."""
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


def _piece(event: DividedEvent, recorded: Recorded) -> StoredPart:
    """Returns a stored part that is a piece of `event`. The last piece reports the event itself."""
    event.left -= 1
    event.is_duplicate = event.is_duplicate and recorded.duplicates > 0
    events = (event.plan,) if event.left == 0 else ()
    return StoredPart(msgspec.structs.replace(recorded, repeated=events if event.is_duplicate else ()), events)
