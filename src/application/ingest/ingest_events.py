"""Ingest: plans the events of a broker's batch, stores the results, publishes them, and acknowledges the batch, in this
order."""

import asyncio
import random
from collections import Counter, deque
from collections.abc import Mapping
from functools import partial
from typing import Final

import msgspec
import structlog

from application.announce import announce
from application.counters import Counters
from application.ingest.count_events import CountEvents
from application.ingest.keep_bindings import KeepBindings
from application.ingest.note_duplicates import NoteDuplicates
from application.ingest.plan_events import plan_events
from application.ingest.store_plans import Part, StorePlans
from application.log_context import event_context, request_context
from application.ports.backplane import Backplane
from application.ports.event_source import Batch, EventSource, NotAcknowledged
from application.ports.service import Phase, Service
from application.ports.store import Recorded, StoreUnavailable
from application.routes_in_force import RoutesInForce
from domain.backoff import Backoff
from domain.broker_messages import Message
from domain.event_limits import NO_LIMITS, Limits
from domain.planning import plan
from domain.plans import DeadLetter, Plan
from domain.route_table import RouteTable

log = structlog.get_logger(__name__)


# Seconds for storing the batch in progress when the node stops without a drain.
STOP_S: Final = 0.5


class RetryPolicy(Backoff, frozen=True):
    """The backoff between attempts to store a batch: the first delay and the maximum delay, in seconds."""

    initial_s: float = 0.2
    max_s: float = 10.0


class BatchInWork(msgspec.Struct, frozen=True):
    """A broker's batch that is being ingested. `table` has the routes by which it was planned. `plans` are the plans of
    its events; `parts` are the parts of these plans that are not stored yet, one for each transaction. `unwanted`
    counts the events that no route uses any more (see KeepBindings), by the key of the RabbitMQ binding by which they
    arrive; these events have no plan."""

    batch: Batch
    table: RouteTable
    plans: list[Plan]
    parts: deque[Part]
    unwanted: Counter[str]


class IngestEvents:
    """Plans the events of a batch, stores the results, publishes the stored entries to every node, and acknowledges the
    batch. Called by ConsumeEvents.

    A batch is acknowledged only after everything is stored. An event that can't be processed is stored as a dead letter
    and does not stop the others. A failed publish or acknowledgement is logged and the work continues: the hubs of
    other nodes read unpublished entries from the store, and events that the broker delivers again are recognised as
    duplicates. Events that arrive only because the binding of a removed route still exists are counted and not planned
    (see KeepBindings).

    Raises StoreUnavailable if the store can't be reached; then the batch is not acknowledged. Call it again with the
    same BatchInWork to continue with the parts that are not stored yet.
    """

    def __init__(
        self,
        routes: RoutesInForce,
        store_plans: StorePlans,
        backplane: Backplane,
        counters: Counters,
        note_duplicates: NoteDuplicates,
        limits: Limits = NO_LIMITS,
        bindings: KeepBindings | None = None,
    ) -> None:
        """`bindings` finds the events that arrive only by bindings of removed routes, which are not planned. With None,
        all events are planned."""
        self._routes = routes
        self._store_plans = store_plans
        self._backplane = backplane
        self._counters = counters
        self._limits = limits
        self._note_duplicates = note_duplicates
        self._count_events = CountEvents(counters)
        self._bindings = bindings

    @property
    def table(self) -> RouteTable:
        """The routes by which a batch that is taken now must be planned."""
        return self._routes.table

    async def plan(self, batch: Batch, source: EventSource, table: RouteTable) -> BatchInWork:
        unwanted = await self._unwanted_sources(batch, source, table)
        messages = [one for one in batch.messages if one.source not in unwanted]
        plans = await plan_events(messages, partial(self._plan, table))
        counts = Counter(unwanted[one.source] for one in batch.messages if one.source in unwanted)
        kept = [one for one in plans if one.ignored is None]
        return BatchInWork(batch, table, plans, self._store_plans.parts(kept), counts)

    async def __call__(self, work: BatchInWork, source: EventSource) -> None:
        async for stored in self._store_plans(work.parts):
            recorded = stored.recorded
            self._count(recorded, work.table)
            self._count_events(stored.events, recorded.repeated, work.table)
            await announce(self._backplane, self._counters, recorded.entries, recorded.sign_outs)
        counters = self._counters
        counters.events_in[source.name] += len(work.batch.messages)
        counters.unwanted.update(work.unwanted)
        counters.planned += sum(1 for one in work.plans if one.dead_letter is None and one.ignored is None)
        ignored = [one for one in work.plans if one.ignored is not None]
        counters.ignored.update(one.ignored for one in ignored if one.ignored is not None)
        self._count_events(ignored, (), work.table)
        for one in work.plans:
            self._note_refused_urls(one)
        try:
            await source.acknowledge(work.batch)
        except Exception as error:
            counters.acknowledge_failures += 1
            trace = None if isinstance(error, NotAcknowledged) else error
            log.warning("acknowledgement_failed", broker=source.name, error=str(error), exc_info=trace)

    def _plan(self, table: RouteTable, message: Message) -> Plan:
        try:
            return plan(message, table, self._limits)
        except Exception:
            # A programming error, which this event would cause at each attempt.
            log.exception("event_planning_failed", source=message.source, event_id=message.fallback_id)
            detail = "An internal error occurred while the event was planned: see the log."
            letter = DeadLetter(message, message.source, message.fallback_id, "internal", detail)
            return Plan(letter.origin, letter.event_id, dead_letter=letter, message=message)

    def _count(self, recorded: Recorded, table: RouteTable) -> None:
        counters = self._counters
        counters.stored += len(recorded.entries)
        counters.duplicates += recorded.duplicates
        self._note_duplicates(recorded.repeated, table)
        for delivery in recorded.deliveries:
            counters.deliveries[delivery.status] += 1
        for letter in recorded.dead_letters:
            counters.dead_letters[letter.reason] += 1
            log.warning(
                "event_dead_lettered",
                source=letter.message.source,
                origin=letter.origin,
                event_id=letter.event_id,
                error_code=letter.reason,
                error=letter.detail,
            )

    def _note_refused_urls(self, plan: Plan) -> None:
        for refused in plan.refused_urls:
            self._counters.refused_urls[refused.route] += 1
            log.warning(
                "notification_url_refused",
                source=plan.message.source if plan.message is not None else "",
                event_id=plan.event_id,
                route=refused.route,
                error=refused.reason,
            )

    async def _unwanted_sources(self, batch: Batch, source: EventSource, table: RouteTable) -> Mapping[str, str]:
        """Returns the sources of the batch that no route uses any more, each with the key of the RabbitMQ binding by
        which its events still arrive."""
        if self._bindings is None:
            return {}
        return await self._bindings.unwanted(
            source, {message.source for message in batch.messages if not table.for_source(message.source)}
        )


class ConsumeEvents(Service):
    """Service that takes batches from one event source, and has IngestEvents process each, until it is stopped.

    A batch that can't be stored is tried again with backoff until it is stored; until then no other batch is taken from
    this source. `fault` is the reason while batches can't be read or stored, for the health check; otherwise None.
    """

    phase = Phase.INGEST

    def __init__(self, ingest: IngestEvents, source: EventSource, retry: RetryPolicy) -> None:
        self._ingest = ingest
        self._retry = retry
        self.source = source
        self.name = source.name
        self.fault: str | None = None
        self._consuming: asyncio.Task[None] | None = None
        self._taking = False
        self._stopping = False

    async def start(self) -> None:
        await self.source.open()
        self._consuming = asyncio.create_task(self._consume(), name=f"consume {self.source.name}")

    async def drain(self, seconds: float) -> None:
        await self.stop(seconds)

    async def stop(self, patience: float = STOP_S) -> None:
        """Takes no more batches, waits at most `patience` seconds until the current batch is stored and acknowledged,
        and closes the source. May be called more than once."""
        self._stopping = True
        task, self._consuming = self._consuming, None
        if task is None:
            return
        if self._taking:
            task.cancel()
        await asyncio.wait({task}, timeout=patience)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await self.source.close()

    async def _consume(self) -> None:
        while not self._stopping:
            self._taking = True
            try:
                batch = await self.source.take()
            except Exception:
                self.fault = "no events can be read from the broker: see the log"
                log.exception("broker_read_failed", broker=self.source.name, retry_s=self._retry.initial_s)
                await asyncio.sleep(self._retry.initial_s)
                continue
            finally:
                self._taking = False
            with request_context(*batch.request_ids):
                await self._store(batch)

    async def _store(self, batch: Batch) -> None:
        # Read before the first `await` since the batch was taken: see EventSource.change_patterns.
        table = self._ingest.table
        work: BatchInWork | None = None
        failures = 0
        while True:
            failures += 1
            delay = self._retry.delay_s(failures, random.random())
            try:
                work = work or await self._ingest.plan(batch, self.source, table)
                with event_context(work.plans):
                    await self._ingest(work, self.source)
            except StoreUnavailable as error:
                self.fault = f"the store is unavailable: {error}"
                log.warning("batch_storage_failed", broker=self.source.name, error=str(error), retry_s=delay)
            except Exception:
                # A programming error must not lose a batch: it is retried, and the log and the failed readiness check
                # show it to operators.
                self.fault = "a batch can't be stored: see the log"
                log.exception("batch_storage_failed", broker=self.source.name, retry_s=delay)
            else:
                self.fault = None
                return
            await asyncio.sleep(delay)
