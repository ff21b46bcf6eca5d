"""The port for event sources, which read events from brokers."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Protocol

import msgspec

from application.ports.bindings import BoundQueue
from domain.broker_messages import Message


class NotAcknowledged(Exception):
    """The broker did not accept an acknowledgement. It will deliver the events again, to this node or to another
    one."""


class Batch(msgspec.Struct, frozen=True):
    """Messages that were taken from a broker together. `receipt` is what the source needs to acknowledge them; no other
    code uses it. `request_ids` are the ids of the HTTP requests that published the messages, for log lines; empty if
    the messages come from Kafka or RabbitMQ."""

    messages: tuple[Message, ...]
    receipt: Any = None
    request_ids: tuple[str, ...] = ()


class SourceStatus(msgspec.Struct, frozen=True):
    """The current state of an event source, for `/health`.

    `ready`: events published from now on will be consumed; on Kafka, partitions are assigned and their offsets set.
    `reason`: why the source is not ready; if it is ready, what is missing, for example a topic that does not exist.
    `assigned`: what this node reads: `topic/partition` on Kafka, queues on RabbitMQ. `last_poll`: when the source last
    polled the broker. `lag`: the number of events that wait at the broker; None if unknown. `begins`: on Kafka, the
    stored start offset of each assigned partition; reading starts there if the consumer group has committed no offset.
    """

    name: str
    ready: bool
    reason: str = ""
    assigned: tuple[str, ...] = ()
    last_poll: datetime | None = None
    lag: int | None = None
    begins: dict[str, int] = {}


class EventSource(Protocol):
    """Reads events from a broker. ConsumeEvents takes batches from it, and acknowledges them once they are stored.

    Ordering: the messages of one partition or queue arrive in order, within a batch and from batch to batch.
    Delivery: at least once. Messages that are not acknowledged are delivered again after a restart, a rebalance or a
    failure. So a message may arrive twice; its event has the same id each time (`Message.fallback_id` if the event has
    no id of its own).
    Outages: if the broker is unavailable, the source reconnects by itself, with backoff and jitter. Meanwhile `take`
    waits, and `status` has the reason.
    Slow callers: if batches are taken slowly, the source reads more slowly and stays a member of its consumer group.
    """

    @property
    def name(self) -> str:
        """The name of the broker in settings, logs and metrics, for example `kafka`."""

    @property
    def max_poll_age_s(self) -> float | None:
        """The maximum age in seconds of `SourceStatus.last_poll`. If the last poll is older, the source has stalled.
        None if the source does not poll regularly, so that the age means nothing."""

    @property
    def queue(self) -> BoundQueue | None:
        """The queue that the source reads, with its bindings; None for brokers without bindings, such as Kafka."""

    def change_patterns(self, patterns: Sequence[str]) -> None:
        """Reads the topics or routing keys that match `patterns` from now on, and no others. Returns immediately, and
        changes the subscription at the broker in the background. There must be at least one pattern.

        Messages that match earlier and new patterns are neither lost nor repeated. Messages that only new patterns
        match are not returned by `take` before this call, so call it together with the change of the routes, without
        an `await` in between. Messages that only earlier patterns match: on Kafka, `take` returns none after this call,
        and they stay unread; on RabbitMQ, it returns those that the queue still contains.
        """

    async def open(self) -> None:
        """Starts to connect to the broker in the background, and returns immediately."""

    async def take(self) -> Batch:
        """Waits until messages are available and returns them as a batch, which is never empty. Must not be called
        concurrently."""

    async def acknowledge(self, batch: Batch) -> None:
        """Acknowledges to the broker that the messages of this batch, and of all batches taken before it, are stored.
        Raises NotAcknowledged."""

    def status(self) -> SourceStatus:
        """Returns the current state, without I/O."""

    async def close(self) -> None:
        """Stops reading, finishes acknowledgements in progress, and on Kafka leaves the consumer group. The broker
        delivers messages that are not acknowledged again."""
