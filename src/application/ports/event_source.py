"""The port for event sources, which read from brokers."""

from datetime import datetime
from typing import Any, Protocol

import msgspec

from application.ports.bindings import BoundQueue
from domain.broker_messages import Message


class NotAcknowledged(Exception):
    """The broker did not accept an acknowledgement: it will redeliver these events, to this node or to another."""


class Batch(msgspec.Struct, frozen=True):
    """Messages that were read from the broker together. `receipt` is used by the adapter only. `request_ids` are the
    HTTP requests that published them, for the log."""

    messages: tuple[Message, ...]
    receipt: Any = None
    request_ids: tuple[str, ...] = ()


class SourceStatus(msgspec.Struct, frozen=True):
    """The current status of a source.

    `ready` means that events published from now on will be consumed; on Kafka, that partitions are assigned and their
    positions set. `reason` says why the source is not ready, or what is missing. `assigned` lists what this node reads
    (topic/partition, or queue). `lag` is the number of events waiting at the broker; None if unknown. `begins` has the
    stored start offset of each partition that this node reads; it applies if the group has no committed offset.
    """

    name: str
    ready: bool
    reason: str = ""
    assigned: tuple[str, ...] = ()
    last_poll: datetime | None = None
    lag: int | None = None
    begins: dict[str, int] = {}


class EventSource(Protocol):
    """Takes events from a broker, and acknowledges them once they are stored.

    Ordering: the messages of one partition (or queue) arrive in its order, within a batch and from batch to batch.
    Delivery: at least once. Unacknowledged messages are redelivered after a restart, a rebalance or a fault, so the
    same message may arrive twice, and the caller must recognise it (`Message.fallback_id`).
    Faults: a source survives outages of its broker. `open` returns immediately if the broker is down; the source
    connects, and reconnects after any fault, by itself, with backoff and jitter. `take` waits meanwhile, and `status`
    has the reason.
    Pace: if the caller is slow, the source pauses, and remains a member of its group.
    """

    @property
    def name(self) -> str:
        """The name of the broker in settings, logs and metrics."""

    @property
    def max_poll_age_s(self) -> float | None:
        """A source whose last poll is older than this many seconds has stalled. None if the source polls only when
        events are available."""

    @property
    def queue(self) -> BoundQueue | None:
        """The queue that the source reads; None if the broker has no queues with bindings."""

    async def open(self) -> None:
        """Starts connecting, in the background."""

    async def take(self) -> Batch:
        """Waits for messages and returns them; a batch is never empty. Only one caller at a time."""

    async def acknowledge(self, batch: Batch) -> None:
        """Acknowledges that this batch, and all batches taken before it, are stored. Raises NotAcknowledged."""

    def status(self) -> SourceStatus:
        """Returns the current status, without I/O."""

    async def close(self) -> None:
        """Stops consuming, completes acknowledgements, and leaves the group. Unacknowledged messages will be
        redelivered."""
