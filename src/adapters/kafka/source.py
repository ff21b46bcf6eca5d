"""The event source that reads Kafka."""

import asyncio
from collections.abc import Sequence
from typing import Final

import structlog
from aiokafka.errors import KafkaError

from adapters.kafka.batch_slot import BatchSlot
from adapters.kafka.commits import partition_names
from adapters.kafka.group_consumer import Membership
from adapters.kafka.group_start_offsets import GroupStartOffsets
from adapters.kafka.recreated_topics import Recreated
from adapters.kafka.settings import KafkaSettings, client_options
from adapters.kafka.stall_detection import Stalled
from adapters.kafka.timing import Timing
from adapters.kafka.topic_patterns import Topics
from adapters.reconnect_delay import ReconnectDelay
from application.ports.event_source import Batch, NotAcknowledged, SourceStatus
from application.ports.start_offsets import StartOffsets
from application.ports.store import StoreUnavailable

log = structlog.get_logger(__name__)

# Expected outages of the network or the broker. All other exceptions are logged with a traceback.
OUTAGES: Final = (KafkaError, TimeoutError, OSError, Stalled)


class KafkaSource:
    """Implements the port EventSource: reads Kafka as a member of a consumer group. Nodes with the same group share the
    partitions.

    After any fault (an error, or a stall that Watch detects), a background task creates a new consumer, which joins the
    group again. The receipt of a batch contains only the offsets to commit. So a batch that an earlier consumer has
    read can still be acknowledged if its partitions are assigned to this node again.

    The source is ready if partitions are assigned (none, if there are more nodes than partitions), their positions are
    set, and the broker answers. Missing topics do not make it unready; they are named in the status as `reason`. A
    missing topic that is created later is read from its first event, within 15 s.
    """

    name = "kafka"
    max_poll_age_s = 60.0
    queue = None

    def __init__(
        self, settings: KafkaSettings, patterns: Sequence[str], starts: StartOffsets, timing: Timing | None = None
    ) -> None:
        """`patterns` are the topics that the routes name, with or without wildcards, such as `orders.*` (see
        domain.source_patterns). Raises ValueError if there are none. Raises OSError if the file HERALD_KAFKA_SSL_CAFILE
        cannot be read."""
        self._settings = settings
        self._options = client_options(settings)
        self._topics = Topics(patterns)
        self._timing = timing or Timing()
        self._group_start_offsets = GroupStartOffsets(settings, self._options, patterns, starts, self._timing)
        self._slot = BatchSlot()
        self._membership: Membership | None = None
        self._supervisor: asyncio.Task[None] | None = None
        self._trouble = "not open"

    def change_patterns(self, patterns: Sequence[str]) -> None:
        self._topics = Topics(patterns)
        self._group_start_offsets.change_patterns(patterns)
        if self._membership is not None:
            self._membership.change_topics(self._topics)

    async def open(self) -> None:
        self._trouble = f"connecting to {self._settings.servers}"
        self._supervisor = asyncio.create_task(self._supervise())

    async def take(self) -> Batch:
        return await self._slot.take()

    async def acknowledge(self, batch: Batch) -> None:
        try:
            if self._membership is None:
                raise NotAcknowledged(self._trouble)
            self._membership.commits.acknowledge(batch.receipt)
        finally:
            self._slot.done()

    def status(self) -> SourceStatus:
        member = self._membership
        if member is None:
            return SourceStatus(self.name, ready=False, reason=self._trouble)
        ready = member.settled and not member.is_changing and member.watch.answering
        held = member.commits.held()
        names = partition_names(held)
        remembered = self._group_start_offsets.remembered
        begins = {name: remembered[at].offset for name, at in zip(names, held, strict=True) if at in remembered}
        return SourceStatus(
            self.name, ready, self._reason(member), tuple(names), member.polled, member.watch.lag, begins
        )

    async def close(self) -> None:
        if self._supervisor:
            self._supervisor.cancel()
            await asyncio.gather(self._supervisor, return_exceptions=True)
            self._supervisor = None
        self._trouble = "closed"

    def _reason(self, member: Membership) -> str:
        if not member.settled:
            return f"joining the group {self._settings.group}"
        if member.is_changing:
            return "changing the topics that are read"
        if not member.watch.answering:
            return f"Kafka at {self._settings.servers} does not answer"
        if missing := member.missing():
            return f"waiting for topics: {', '.join(missing)}"
        return ""

    async def _supervise(self) -> None:
        delay = ReconnectDelay(self._timing.reconnect)
        while True:
            delay.connecting()
            try:
                await self._run_consumer()
            except StoreUnavailable as error:
                self._trouble = f"the store is unavailable: {error}"
                log.warning("kafka_start_offsets_unavailable", group=self._settings.group, error=str(error))
            except Recreated as found:
                self._trouble = str(found)
                log.warning("kafka_partitions_recreated", group=self._settings.group, offsets=found.offsets)
            except OUTAGES as error:
                self._trouble = str(error) or type(error).__name__
                log.warning("kafka_unavailable", server=self._settings.servers, error=self._trouble)
            except Exception as error:
                self._trouble = f"{type(error).__name__}: {error}"
                log.exception("kafka_consumer_failed", server=self._settings.servers)
            await delay.wait()

    async def _run_consumer(self) -> None:
        """Runs one consumer until a fault, and raises the fault. Before it, determines and stores the start offsets of
        topics that the routes name for the first time."""
        topics = None
        while topics is not self._topics:
            topics = self._topics
            await self._group_start_offsets.configure()
        self._membership = Membership(
            self._options, self._settings.group, topics, self._group_start_offsets, self._slot, self._timing
        )
        try:
            await self._membership.run()
        finally:
            self._membership = None
