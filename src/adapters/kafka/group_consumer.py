"""The membership of one consumer in its consumer group, from joining to leaving."""

import asyncio
from collections.abc import Collection, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final, NoReturn

import structlog
from aiokafka import ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import IllegalStateError, KafkaError

from adapters.kafka.batch_slot import BatchSlot
from adapters.kafka.clients import administration, discard, new_consumer
from adapters.kafka.commits import GONE, Commits, partition_names
from adapters.kafka.group_start_offsets import GroupStartOffsets
from adapters.kafka.offset_queries import committed
from adapters.kafka.records import message_of
from adapters.kafka.recreated_topics import Recreated, Recreation
from adapters.kafka.stall_detection import Watch
from adapters.kafka.timing import Timing
from adapters.kafka.topic_patterns import Topics
from application.ports.event_source import Batch

log = structlog.get_logger(__name__)

# Events in one batch, usually one transaction of the store: larger ones hold locks longer, smaller ones need more round
# trips for each event.
MAX_BATCH_SIZE: Final = 500

# Seconds between two checks whether aiokafka has applied a changed subscription.
APPLIED_S: Final = 0.005


class Membership:
    """One consumer as a member of its consumer group. Polls Kafka, puts batches into the BatchSlot from which ingest
    takes them, and commits the offsets of acknowledged batches. After a fault (an error or a stall), KafkaSource
    creates a new Membership, with a new consumer.

    After a rebalance, nothing is read from a partition until the offset at which reading starts is committed: the
    offset that the group committed before or, if there is none, the start offset that GroupStartOffsets determines.
    """

    def __init__(
        self,
        options: dict[str, Any],
        group: str,
        topics: Topics,
        group_start_offsets: GroupStartOffsets,
        slot: BatchSlot,
        timing: Timing,
    ) -> None:
        # When the last poll returned.
        self.polled: datetime | None = None
        self._options = options
        self._group = group
        self._consumer = new_consumer(options, group, timing)
        self.watch = Watch(self._consumer, timing)
        self.commits = Commits(self._consumer, timing)
        self._recreation = Recreation(self._consumer, timing)
        self._topics = topics
        self._subscribed = topics
        self._changed = asyncio.Event()
        # Held during a poll, and while the subscription is changed.
        self._polling = asyncio.Lock()
        self._group_start_offsets = group_start_offsets
        self._slot = slot
        self._timing = timing
        # Whether this member has an assignment, which may be empty, and its positions are set.
        self.settled = False
        self._settling: asyncio.Task[None] | None = None
        self._failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def missing(self) -> list[str]:
        """Returns the topics that the routes name without a wildcard and that do not exist in Kafka, sorted."""
        return self._topics.missing(self._consumer.subscription())

    def change_topics(self, topics: Topics) -> None:
        """Reads these topics from now on. Topics that are read already continue; those that are not in `topics` any
        more stay unread and uncommitted from their present offset. Changes the subscription in the background, which
        causes a rebalance if the set of existing topics changes."""
        self._topics = topics
        self._slot.filter(self._selected)
        self._changed.set()

    @property
    def is_changing(self) -> bool:
        """Whether the consumer does not subscribe to the topics of the last call of `change_topics` yet."""
        return self._subscribed is not self._topics

    async def run(self) -> None:
        """Joins the group and reads until a fault (an error or a stall). Then commits the offsets of acknowledged
        batches, leaves the group and raises the fault."""
        committing = asyncio.ensure_future(self.commits.run())
        tasks: set[asyncio.Future[Any]] = {self._failed}
        recreated: Mapping[TopicPartition, int] = {}
        try:
            async with asyncio.timeout(self._timing.connect):
                await self._consumer.start()
            self._subscribe(self._subscribed)
            working = (self._poll(), self.watch.run(), self._recreation.run(), self._follow_changes())
            tasks |= {asyncio.ensure_future(work) for work in working}
            ended, _ = await asyncio.wait({committing, *tasks}, return_when=asyncio.FIRST_COMPLETED)
            ended.pop().result()
        except Recreated as found:
            recreated = found.first_offsets
            raise
        finally:
            self.settled = False
            self._slot.drop()
            # Ends the wait of a rebalance for the slot, which would delay leaving the group.
            self._slot.done()
            await _cancelled({*tasks, self._settling} if self._settling else tasks)
            await self.commits.flush(self._timing.leave)
            await _cancelled({committing})
            await self._commit_first_offsets(recreated)
            await discard(self._consumer, self._timing.leave)

    def _subscribe(self, topics: Topics) -> None:
        self._consumer.subscribe(pattern=topics.expression.pattern, listener=self)
        self._subscribed = topics

    async def _follow_changes(self) -> NoReturn:
        """Subscribes to other topics each time that `change_topics` was called. Before that, determines and stores the
        start offsets of topics that the routes name for the first time."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            topics = self._topics
            await self._group_start_offsets.configure()
            if topics is self._topics:
                await self._resubscribe(topics)

    async def _resubscribe(self, topics: Topics) -> None:
        """Changes the subscription between two polls, after all batches that were read are stored and committed, each
        within at most `Timing.grace` seconds. aiokafka gives up its assignment as soon as it finds that the subscribed
        topics change, and commits nothing any more: events that are not committed by then are read twice."""
        grace = self._timing.grace
        async with self._polling:
            _ = await self._slot.free_within(grace) and await self._slot.idle_within(grace)
            await self.commits.flush(grace)
            found = set(filter(topics.expression.match, await self._consumer.topics()))
            self._subscribe(topics)
            log.info("kafka_subscription_changed", group=self._group, topics=sorted(found))
            with suppress(TimeoutError):
                async with asyncio.timeout(self._timing.probe):
                    # aiokafka applies the change after it has fetched metadata, and has no event for that.
                    while self._consumer.subscription() != found:  # noqa: ASYNC110
                        await asyncio.sleep(APPLIED_S)

    def _is_wanted(self, partition: TopicPartition) -> bool:
        return self._topics.expression.match(partition.topic) is not None

    def _selected(self, batch: Batch) -> Batch:
        """Returns the batch without the records of topics that are not read any more."""
        ends = {held: end for held, end in batch.receipt.items() if self._is_wanted(held)}
        if len(ends) == len(batch.receipt):
            return batch
        topics = {held.topic for held in ends}
        return Batch(tuple(one for one in batch.messages if one.source in topics), ends)

    async def _commit_first_offsets(self, first_offsets: Mapping[TopicPartition, int]) -> None:
        """Commits the first offsets of partitions whose topic was deleted and created again, so that the next consumer
        reads the new log from its beginning. Logs an error if that fails."""
        if not first_offsets:
            return
        try:
            async with asyncio.timeout(self._timing.commit):
                await self._consumer.commit(first_offsets)
        except (KafkaError, TimeoutError) as fault:
            error = str(fault) or type(fault).__name__
            log.error("kafka_rewind_failed", group=self._group, partitions=partition_names(first_offsets), error=error)

    async def _poll(self) -> None:
        while True:
            free = await self._slot.free_within(self._timing.patience)
            self._set_reading(free and self.settled)
            # While partitions are paused, a poll returns nothing, but shows that this member is alive
            # (max_poll_interval).
            wait = int(self._timing.poll * 1000) if free else 0
            async with self._polling:
                await self._poll_once(wait, free)

    async def _poll_once(self, wait: int, free: bool) -> None:
        records = await self._consumer.getmany(timeout_ms=wait, max_records=MAX_BATCH_SIZE)
        self.polled = datetime.now(UTC)
        if records:
            # A poll can return records even if the slot was full before: a rebalance may have emptied it meanwhile.
            messages = tuple(message_of(record, self.polled) for several in records.values() for record in several)
            ends = {held: await self._next_offset(held, several[-1].offset + 1) for held, several in records.items()}
            self.commits.hand_over(ends)
            if (batch := self._selected(Batch(messages, ends))).messages:
                self._slot.put(batch)
        elif free:
            self.watch.empty_poll()
            for partition in filter(self._is_wanted, self.commits.held()):
                self.commits.schedule_position(partition, await self._next_offset(partition, 0))

    async def _next_offset(self, partition: TopicPartition, at_least: int) -> int:
        """Returns the offset that the next poll of the partition starts at: the consumer's position. Transaction
        markers after the last record are skipped, so the position can be more than one greater than the last record's
        offset. Returns `at_least` if the position is smaller or is not available."""
        # aiokafka returns a valid position without suspending, so no other task can poll and change it meanwhile.
        try:
            async with asyncio.timeout(self._timing.poll):
                position: int = await self._consumer.position(partition)
                return max(at_least, position)
        except (IllegalStateError, TimeoutError):
            # The partition was revoked since, or its position is being reset.
            return at_least

    def _set_reading(self, reading: bool) -> None:
        """Resumes all paused partitions if `reading` is true; otherwise pauses all assigned partitions."""
        if reading:
            self._consumer.resume(*self._consumer.paused())
        else:
            self._consumer.pause(*self._consumer.assignment())

    async def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        """Prepares for a rebalance: discards the batch that ingest has not taken, then waits until the batch being
        stored is acknowledged and until its offsets are committed, each at most `Timing.grace` seconds. Called by
        aiokafka before the partitions are revoked."""
        # The rebalance waits for the return of this method. Heartbeats continue, and commits are still accepted.
        self.settled = False
        self.watch.unassigned()
        self._slot.drop()
        idle = await self._slot.idle_within(self._timing.grace)
        if not (idle and await self.commits.flush(self._timing.grace)):
            log.warning("kafka_batch_interrupted", partitions=partition_names(revoked))
        self.commits.release()

    async def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        """Determines and commits the offsets at which reading starts on the assigned partitions, within `Timing.settle`
        seconds. Called by aiokafka after a rebalance. aiokafka would ignore an exception, so errors are raised by `run`
        instead."""
        # Pauses before the first await, so that no record is fetched before the positions are set.
        self._set_reading(False)
        self._settling = asyncio.ensure_future(self._set_positions(assigned))
        try:
            async with asyncio.timeout(self._timing.settle):
                await asyncio.wait({self._settling})
            if not self._settling.cancelled():
                self._settling.result()
        except GONE:
            log.info("kafka_rebalance_repeated", group=self._group)
        except Exception as error:
            if not self._failed.done():
                self._failed.set_exception(error)
        finally:
            self._settling.cancel()

    async def _set_positions(self, assigned: Collection[TopicPartition]) -> None:
        """Determines the offset at which reading starts on each assigned partition, sets and commits it, then resumes
        reading."""
        async with administration(self._options) as admin:
            known = await committed(admin, self._group, assigned)
        positions = known | await self._group_start_offsets.on_assigned(self._consumer, assigned, known)
        for partition, offset in positions.items():
            self._consumer.seek(partition, offset)
        if positions:
            await self._consumer.commit(positions)
        self.commits.assign(positions)
        self.settled = True
        self._set_reading(True)
        self.watch.assigned()
        self._recreation.assigned([partition for partition in assigned if partition not in known])
        log.info("kafka_partitions_assigned", partitions=partition_names(assigned))


async def _cancelled(tasks: Collection[asyncio.Future[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


# Registered, not inherited: aiokafka has no type annotations, and mypy would not check a class that inherits from it.
ConsumerRebalanceListener.register(Membership)
