"""The port for brokers: where events come from."""

from datetime import datetime
from typing import Any, Protocol

import msgspec

from application.ports.bindings import BoundQueue
from domain.messages import Message


class NotAcknowledged(Exception):
    """The broker did not take an acknowledgement: it will hand these events over again, here or to another node."""


class Batch(msgspec.Struct, frozen=True):
    """Messages taken together. `receipt` is the adapter's own; nobody else looks at it. `request_ids` are the HTTP
    requests that published them, for the log."""

    messages: tuple[Message, ...]
    receipt: Any = None
    request_ids: tuple[str, ...] = ()


class SourceStatus(msgspec.Struct, frozen=True):
    """What a source can truthfully say of itself now.

    `ready` means that events published from now on will be taken: on Kafka assigned, with positions set. `reason`
    says why not. `assigned` names what this node reads (topic/partition). `lag` counts events waiting at the broker;
    None where unknown. `begins` has the offset that the deployment begins at, by name of what this node reads, where
    the broker's group has no position of its own.
    """

    name: str
    ready: bool
    reason: str = ""
    assigned: tuple[str, ...] = ()
    last_poll: datetime | None = None
    lag: int | None = None
    begins: dict[str, int] = {}


class EventSource(Protocol):
    """For taking events from a broker and telling it when they are safe.

    Ordering: the messages of one partition (or queue) come in its order, within a batch and from batch to batch.
    Delivery: at least once. What was not acknowledged comes again after a restart, a rebalance or a fault; so
    the same message may be seen twice, and whoever takes it must be able to tell (`Message.fallback_id`).
    Faults: a source outlives its broker. `open` returns at once with the broker down; the source connects, and
    reconnects after any fault, by itself, with backoff and jitter. `take` just waits meanwhile, and `status` says why.
    Pace: a taker that is slow makes the source pause; it stays a member of its group meanwhile.
    """

    @property
    def name(self) -> str:
        """The broker as settings, logs and metrics name it."""

    @property
    def max_poll_age_s(self) -> float | None:
        """A source whose last poll is older than this many seconds has stalled. None if it polls only while there are
        events."""

    @property
    def queue(self) -> BoundQueue | None:
        """The queue that it reads, if the broker has queues with bindings."""

    async def open(self) -> None:
        """Starts connecting, in the background."""

    async def take(self) -> Batch:
        """Waits for messages; never returns an empty batch. One taker at a time."""

    async def acknowledge(self, batch: Batch) -> None:
        """Tells the broker that all of this batch, and so all taken before it, is stored. Raises NotAcknowledged."""

    def status(self) -> SourceStatus:
        """Costs nothing: no I/O."""

    async def close(self) -> None:
        """Stops taking, keeps what was acknowledged, leaves the group. What was taken but not acknowledged will come
        again."""
