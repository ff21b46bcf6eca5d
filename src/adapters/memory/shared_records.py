"""MemoryRecords, the data that the memory adapters share. Its size is limited, and it is lost when the process ends."""

from collections import OrderedDict
from datetime import datetime
from uuid import UUID

import msgspec

from adapters.memory.streams import Feed, Inbox
from application.delivery.send_decision import new_delivery
from application.ports.bindings import Binding, QueueName
from application.ports.clock import IdFactory
from application.ports.dead_letters import KeptDeadLetter
from domain.deliveries import Attempt, Delivery, PlannedDelivery
from domain.event_identity import find_origin
from domain.notification_state import state_on_arrival
from domain.notifications import Notification
from domain.plans import DeadLetter
from domain.positions import Head
from domain.preferences import DEFAULT, Preferences
from domain.streams import Content, Entry, SignOut, StreamName, feed_stream, inbox_of, is_inbox, owner_of


class Limits(msgspec.Struct, frozen=True):
    """The size limits of MemoryRecords. When one is exceeded, the oldest data that it counts is deleted.

    `entries_per_stream` is the maximum number of entries in one stream, and `bytes` the maximum size of all entries
    together, in bytes. `dead_letters` is the maximum number of dead letters, and `dead_letter_bytes` their maximum
    total size in bytes. `deliveries` is the maximum number of deliveries that are not pending; pending deliveries are
    not limited.
    """

    entries_per_stream: int = 10_000
    bytes: int = 256 * 1024 * 1024
    dead_letters: int = 10_000
    dead_letter_bytes: int = 64 * 1024 * 1024
    deliveries: int = 10_000


class KeptDelivery(msgspec.Struct):
    """A stored delivery with its attempts. `lease` is the id of its current claim; None if it is not claimed.
    `awaited_peer` is the peer (for example a mail server) that was unavailable at the last attempt: the delivery is due
    as soon as this peer is available again."""

    delivery: Delivery
    attempts: list[Attempt] = []
    lease: UUID | None = None
    awaited_peer: str | None = None


class BindingClaim(msgspec.Struct):
    """The record that a node needs a binding of a RabbitMQ queue. `wanted_at` is the last time at which the node needed
    the binding; `is_wanted` is False if the node's latest `Bindings.renew` did not include the binding any more."""

    wanted_at: datetime
    is_wanted: bool = True


class MemoryRecords:
    """The data that the memory adapters of the store share: streams, preferences, sign-outs, dead letters, deliveries
    and bindings. No method awaits, so all calls that an adapter makes between two awaits are one transaction."""

    def __init__(self, ids: IdFactory, limits: Limits | None = None) -> None:
        self.epoch = ids.new_id().hex[-12:]
        self.feeds: dict[StreamName, Feed] = {}
        self.inboxes: dict[StreamName, Inbox] = {}
        self.preferences: dict[str, Preferences] = {}
        self.sign_outs: dict[str, datetime] = {}
        self.letters: OrderedDict[UUID, KeptDeadLetter] = OrderedDict()  # oldest first
        self.deliveries: OrderedDict[UUID, KeptDelivery] = OrderedDict()  # oldest first
        self.binding_claims: dict[QueueName, dict[Binding, dict[str, BindingClaim]]] = {}  # by node
        self._ids = ids
        self._limits = limits or Limits()
        self._oldest: OrderedDict[UUID, Feed | Inbox] = OrderedDict()  # every stored entry, in the order of storing
        self._bytes = 0
        self._letter_bytes = 0
        # The id of each event's dead letter, by origin and event id.
        self._lettered: dict[tuple[str, str], UUID] = {}
        # The source of each delivery's event, by channel, destination, origin and event id.
        self._delivered: dict[tuple[str, str, str, str], str] = {}

    def stream(self, name: StreamName) -> Feed | Inbox | None:
        """Returns the stream. Returns None if no entry was ever stored in the stream."""
        return self.inboxes.get(name) if is_inbox(name) else self.feeds.get(name)

    def head(self, name: StreamName) -> Head:
        kept = self.stream(name)
        not_before = self.sign_outs.get(owner_of(name)) if is_inbox(name) else None
        return msgspec.structs.replace(Head() if kept is None else kept.head, not_before=not_before)

    def notify(self, user: str, content: Content, now: datetime, by_source: bool = True) -> Entry | None:
        """Stores a notification in the user's inbox, and returns its entry. Returns None if the inbox already has the
        event. With `by_source`, events of different sources with the same origin and id are different events."""
        name = inbox_of(user)
        inbox = self.inboxes.get(name)
        if inbox is None:
            inbox = self.inboxes[name] = Inbox()
        if (fresh := self._register_event(inbox, content, by_source)) is None:
            return None
        state = state_on_arrival(self.preferences.get(user, DEFAULT), fresh.type, now)
        seq = inbox.head.last + 1
        arrival = Notification(self._ids.new_id(), user, seq, seq, now, now, fresh, state)
        inbox.append(arrival)
        return self._count_bytes(inbox, arrival.entry(inbox.head))

    def broadcast(self, to: str, content: Content, now: datetime, by_source: bool = True) -> Entry | None:
        """Stores a broadcast in the feed `to`, and returns its entry. Returns None if the feed already has the event.
        With `by_source`, events of different sources with the same origin and id are different events."""
        name = feed_stream(to)
        kept = self.feeds.get(name)
        if kept is None:
            kept = self.feeds[name] = Feed()
        if (fresh := self._register_event(kept, content, by_source)) is None:
            return None
        seq = kept.head.last + 1
        broadcast = Entry(name, seq, seq, self._ids.new_id(), fresh, now)
        kept.append(broadcast)
        return self._count_bytes(kept, broadcast)

    def shrink(self) -> None:
        """Deletes the oldest entries, of any stream, while all entries together are larger than `Limits.bytes`."""
        while self._bytes > self._limits.bytes and self._oldest:
            self.prune(next(iter(self._oldest.values())))

    def prune(self, kept: Feed | Inbox) -> None:
        """Deletes the oldest entry of a stream. If its event arrives again, the event is no longer recognised as a
        duplicate."""
        gone = kept.prune()
        del kept.events[gone.content.origin, gone.content.event_id]
        del self._oldest[gone.id]
        self._bytes -= gone.weight

    def sign_out(self, sign_out: SignOut) -> bool:
        """Stores a sign-out, and returns True. Returns False, and stores nothing, if a sign-out of the same user with
        the same or a later time is stored already."""
        known = self.sign_outs.get(sign_out.user)
        if known is not None and known >= sign_out.not_before:
            return False
        self.sign_outs[sign_out.user] = sign_out.not_before
        return True

    def keep_letter(self, letter: DeadLetter, now: datetime, by_source: bool = True) -> DeadLetter | None:
        """Stores a dead letter, and returns it as stored. If the event already has a dead letter, replaces that dead
        letter, adds 1 to its `times`, and returns None. With `by_source`, events of different sources with the same
        origin and id are different events."""
        origin, _ = find_origin(
            letter.origin,
            letter.message.source,
            by_source,
            lambda origin: self._letter_source(origin, letter.event_id),
        )
        letter = msgspec.structs.replace(letter, origin=origin)
        event = (letter.origin, letter.event_id)
        id = self._lettered.get(event)
        if id is not None:
            known = self.letters[id]
            self._letter_bytes -= _letter_weight(known.letter)
            kept = msgspec.structs.replace(known, letter=letter, times=known.times + 1)
        else:
            kept = KeptDeadLetter(self._ids.new_id(), now, letter)
            self._lettered[event] = kept.id
        self.letters[kept.id] = kept
        self._letter_bytes += _letter_weight(letter)
        limits = self._limits
        while len(self.letters) > limits.dead_letters or self._letter_bytes > limits.dead_letter_bytes:
            self.drop_letter(next(iter(self.letters)))
        return letter if id is None else None

    def deliver(self, planned: PlannedDelivery, now: datetime, by_source: bool = True) -> Delivery | None:
        """Stores a delivery, and returns it. Returns None if the event already has a delivery to this destination on
        this channel. With `by_source`, events of different sources with the same origin and id are different events."""
        item, channel, destination = planned.item, planned.channel, planned.destination
        origin, known = find_origin(
            item.origin,
            item.source,
            by_source,
            lambda origin: self._delivered.get((channel, destination, origin, item.event_id)),
        )
        if known:
            return None
        planned = msgspec.structs.replace(planned, item=msgspec.structs.replace(item, origin=origin))
        self._delivered[planned.key] = item.source
        made = new_delivery(planned, self._ids.new_id(), self.preferences.get(planned.user or "", DEFAULT), now)
        self.deliveries[made.id] = KeptDelivery(made)
        if len(self.deliveries) > self._limits.deliveries:
            ended = [id for id, kept in self.deliveries.items() if kept.delivery.status != "pending"]
            if len(ended) > self._limits.deliveries:
                self.drop_delivery(ended[0])
        return made

    def drop_delivery(self, id: UUID) -> None:
        del self._delivered[self.deliveries.pop(id).delivery.key]

    def drop_letter(self, id: UUID) -> None:
        letter = self.letters.pop(id).letter
        del self._lettered[letter.origin, letter.event_id]
        self._letter_bytes -= _letter_weight(letter)

    def _register_event(self, kept: Feed | Inbox, content: Content, by_source: bool) -> Content | None:
        """Registers an event that is to be stored in the stream, and deletes the stream's oldest entry if the stream is
        full. Returns the content to store; its origin is qualified if the stream has an event of another source with
        the same origin and id (see domain.event_identity). Returns None, and changes nothing, if the stream already has
        the event."""
        origin, known = find_origin(
            content.origin, content.source, by_source, lambda origin: kept.events.get((origin, content.event_id))
        )
        if known:
            return None
        kept.events[origin, content.event_id] = content.source
        if len(kept.seqs) >= self._limits.entries_per_stream:
            self.prune(kept)
        return content if origin == content.origin else msgspec.structs.replace(content, origin=origin)

    def _letter_source(self, origin: str, event_id: str) -> str | None:
        """Returns the source of the stored dead letter with this origin and event id; None if there is none."""
        id = self._lettered.get((origin, event_id))
        return None if id is None else self.letters[id].letter.message.source

    def _count_bytes(self, kept: Feed | Inbox, entry: Entry) -> Entry:
        """Adds the size of a new entry to the total that `Limits.bytes` limits. Returns the entry."""
        self._oldest[entry.id] = kept
        self._bytes += entry.weight
        return entry


def _letter_weight(letter: DeadLetter) -> int:
    """Returns the approximate size of a dead letter in bytes."""
    return len(letter.message.body or b"") + 1_000
