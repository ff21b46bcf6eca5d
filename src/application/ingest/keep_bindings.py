"""Maintains the RabbitMQ bindings of Herald's queues: records which bindings the routes of each node need, and removes
those that no node needs any more. (A binding makes the broker deliver events with matching routing keys to a queue.)"""

import asyncio
import random
import re
from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta

import msgspec
import structlog

from application.ports.bindings import Binding, Bindings, BoundQueue, NotChanged, RecordedBinding
from application.ports.clock import Clock
from application.ports.event_source import EventSource
from application.ports.service import Phase, Service
from application.ports.store import StoreUnavailable
from domain.source_patterns import as_regex

log = structlog.get_logger(__name__)


class BindingPolicy(msgspec.Struct, frozen=True):
    """Timings of KeepBindings. A renewal records in the store that a node needs its bindings now.

    `period_s`: seconds between two renewals. `lapse`: if a node has not renewed its bindings for this time, it is
    assumed to be stopped and to need none. `expiry`: a binding that no node has renewed for this time is removed from
    the broker. `start_s`: timeout in seconds of the first renewal, for which the start of the node waits.
    """

    period_s: float = 60.0
    lapse: timedelta = timedelta(minutes=5)
    expiry: timedelta = timedelta(hours=24)
    start_s: float = 5.0


class KeepBindings(Service):
    """Service that maintains the RabbitMQ bindings of Herald's queues. Every minute it records in the store which
    bindings the routes of this node need, creates missing ones, and removes those that no node has needed for a day.

    Without this service, the events of a removed route would arrive forever. Only bindings that Herald has recorded are
    removed, never those that an operator has created. While the store or the broker is unavailable, nothing is removed.
    """

    name = "bindings"
    phase = Phase.PREPARATION

    def __init__(
        self,
        node: str,
        queues: Mapping[str, BoundQueue],
        bindings: Bindings,
        clock: Clock,
        policy: BindingPolicy | None = None,
    ) -> None:
        """`node` is the name of this node. `queues` maps the name of each RabbitMQ event source to its queue."""
        self._node = node
        self._queues = queues
        self._bindings = bindings
        self._clock = clock
        self._policy = policy or BindingPolicy()
        # Bindings that this node needs and that may not exist at the broker, by source.
        self._missing: dict[str, frozenset[Binding]] = {}
        self._running: asyncio.Task[None] | None = None
        # Held while bindings are recorded, so that a periodic run does not record bindings that a reload has replaced.
        self._recording = asyncio.Lock()
        self._logged: set[tuple[str, str]] = set()

    async def start(self) -> None:
        """Records in the store which bindings this node needs, before the event sources connect and create them. Waits
        at most `start_s` for the store; if it does not answer in time, the next periodic run records them. Then starts
        the periodic runs in the background."""
        if self._queues:
            try:
                async with asyncio.timeout(self._policy.start_s):
                    for source in self._queues:
                        await self._renew(source)
            except TimeoutError:
                log.warning("bindings_not_renewed", error=f"no answer within {self._policy.start_s:g} s")
            self._running = asyncio.create_task(self._run(), name="bindings")

    async def stop(self) -> None:
        task, self._running = self._running, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def claim(self, source: EventSource, patterns: Sequence[str]) -> None:
        """Records that this node needs the bindings for `patterns`, and no others. Call it before the patterns of the
        source are replaced by these, without an `await` in between. Does nothing for a source without a queue. Raises
        StoreUnavailable, having changed nothing."""
        if (queue := self._queues.get(source.name)) is not None:
            async with self._recording:
                await self._bindings.renew(self._node, queue.name, queue.bindings_for(patterns), self._clock.now())

    async def bind_added(self, source: EventSource) -> None:
        """Makes the bindings that a reload has added, as far as all nodes need them that have renewed their bindings
        within `lapse`. Until then, their events could reach a node whose routes do not have them yet, which would store
        them as dead letters. Errors are logged, never raised; the periodic run tries again."""
        queue = self._queues.get(source.name)
        if queue is not None:
            await self._bind_added(queue)

    async def unwanted(self, source: EventSource, routing_keys: Collection[str]) -> dict[str, str]:
        """Returns those of the routing keys that no route of any node uses any more, each with the key of the RabbitMQ
        binding by which its events still arrive.

        Only bindings that Herald has recorded count: a routing key for which no such binding is found is not returned.
        Reads the store at each call, because another node may have started to need a binding a moment ago. Raises
        StoreUnavailable.
        """
        queue = self._queues.get(source.name)
        if queue is None or not routing_keys:
            return {}
        recorded = await self._bindings.recorded(queue.name)
        keys = {one.key for one in queue.wanted} | {one.binding.key for one in recorded if not self._is_unwanted(one)}
        wanted = [re.compile(as_regex(key)) for key in keys]
        gone = [(re.compile(as_regex(one.binding.key)), one) for one in recorded if self._is_unwanted(one)]
        found: dict[str, str] = {}
        for routing_key in routing_keys:
            if any(pattern.match(routing_key) for pattern in wanted):
                continue
            for pattern, one in gone:
                if pattern.match(routing_key):
                    found[routing_key] = one.binding.key
                    self._log_unwanted(queue, one)
                    break
        return found

    def _is_unwanted(self, recorded: RecordedBinding) -> bool:
        return recorded.claimed_at is None or recorded.claimed_at < self._clock.now() - self._policy.lapse

    def _log_unwanted(self, queue: BoundQueue, recorded: RecordedBinding) -> None:
        binding = recorded.binding
        if (key := (queue.name.queue, binding.key)) not in self._logged:
            self._logged.add(key)
            log.warning(
                "binding_unwanted",
                queue=queue.name.queue,
                exchange=binding.exchange,
                routing_key=binding.key,
                removed_after=(recorded.wanted_at + self._policy.expiry).isoformat(),
            )

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._policy.period_s * random.uniform(0.75, 1.0))
            await self.round()

    async def round(self) -> None:
        """Does the work of one period for each queue: records which bindings this node needs, creates missing ones, and
        removes those that no node has needed for a day. Errors are logged, never raised."""
        for source, queue in self._queues.items():
            await self._renew(source)
            await self._bind_missing(source)
            await self._bind_added(queue)
            await self._remove_expired(source)

    async def _renew(self, source: str) -> None:
        queue = self._queues[source]
        try:
            async with self._recording:
                missing = await self._bindings.renew(self._node, queue.name, queue.wanted, self._clock.now())
        except Exception as error:
            # The bindings may have been recorded nevertheless. Then the next renewal would not report them as new.
            missing = frozenset(queue.wanted)
            log.warning(
                "bindings_not_renewed", queue=queue.name.queue, error=str(error), exc_info=_unexpected_error(error)
            )
        # Bindings that a reload has added are made later (see bind_added), and those that it removed not at all.
        missing = (self._missing.get(source, frozenset()) | missing) & frozenset(queue.wanted)
        self._missing[source] = missing - queue.unbound

    async def _bind_missing(self, source: str) -> None:
        queue = self._queues[source]
        if missing := sorted(self._missing[source]):
            try:
                await queue.bind(missing)
            except Exception as error:
                log.warning(
                    "bindings_not_created", queue=queue.name.queue, error=str(error), exc_info=_unexpected_error(error)
                )
            else:
                self._missing[source] = frozenset()

    async def _bind_added(self, queue: BoundQueue) -> None:
        if not queue.unbound:
            return
        name = queue.name.queue
        try:
            nodes = await self._bindings.needs(queue.name, self._clock.now() - self._policy.lapse)
            if added := sorted(queue.unbound.intersection(*nodes.values())):
                await queue.bind(added)
                log.info("bindings_created", queue=name, routing_keys=[one.key for one in added])
        except Exception as error:
            log.warning("bindings_not_created", queue=name, error=str(error), exc_info=_unexpected_error(error))
            return
        if waiting := sorted(queue.unbound):
            behind = sorted(node for node, needed in nodes.items() if not needed.issuperset(waiting))
            log.info("bindings_deferred", queue=name, routing_keys=[one.key for one in waiting], nodes=behind)

    async def _remove_expired(self, source: str) -> None:
        queue = self._queues[source]
        try:
            before = self._clock.now() - self._policy.expiry
            removed = await self._bindings.remove(queue.name, before, queue.unbind)
        except Exception as error:
            log.warning(
                "bindings_not_removed", queue=queue.name.queue, error=str(error), exc_info=_unexpected_error(error)
            )
        else:
            for binding in removed:
                log.info("binding_removed", queue=queue.name.queue, exchange=binding.exchange, routing_key=binding.key)


def _unexpected_error(error: Exception) -> Exception | None:
    """Returns the error, so that its traceback is logged; None if the store or the broker is unavailable, because then
    a traceback is of no use."""
    return None if isinstance(error, StoreUnavailable | NotChanged) else error
