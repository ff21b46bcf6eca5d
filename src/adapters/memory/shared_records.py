"""The data that the memory adapters share. It is bounded, and lost when the process ends."""

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
from domain.planning import DeadLetter
from domain.positions import Head
from domain.preferences import DEFAULT, Preferences
from domain.streams import Content, Entry, SignOut, StreamName, feed_stream, inbox_of, is_inbox, owner_of


class Limits(msgspec.Struct, frozen=True):
    """The limits of the stored data. Above a limit, the oldest data of its kind is deleted: entries of the same stream
    (`entries_per_stream`), entries of all streams (`bytes`), dead letters (`dead_letters`, `dead_letter_bytes`), or
    deliveries that are not pending (`deliveries`)."""

    entries_per_stream: int = 10_000
    bytes: int = 256 * 1024 * 1024
    dead_letters: int = 10_000
    dead_letter_bytes: int = 64 * 1024 * 1024
    deliveries: int = 10_000


class KeptDelivery(msgspec.Struct):
    """A delivery with its attempts, the lease of its current claim, and the peer (for example a mail server) whose
    recovery it waits for."""

    delivery: Delivery
    attempts: list[Attempt] = []
    lease: UUID | None = None
    awaited_peer: str | None = None


class BindingClaim(msgspec.Struct):
    """A node's claim on a binding. `wanted_at` is the time of its last renewal; `is_wanted` is False if the node's
    latest renewal did not include this binding."""

    wanted_at: datetime
    is_wanted: bool = True


class MemoryRecords:
    """All stored data. The methods never await, so everything that an adapter does between two awaits is one
    transaction."""

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
        """Returns the stream; None if nothing was ever stored in it."""
        return self.inboxes.get(name) if is_inbox(name) else self.feeds.get(name)

    def head(self, name: StreamName) -> Head:
        kept = self.stream(name)
        not_before = self.sign_outs.get(owner_of(name)) if is_inbox(name) else None
        return Head(not_before=not_before) if kept is None else Head(kept.last, kept.pruned, not_before, kept.unread)

    def notify(self, user: str, content: Content, now: datetime, by_source: bool = True) -> Entry | None:
        """Adds a notification, and returns its entry. Returns None if the event is already in the inbox."""
        name = inbox_of(user)
        inbox = self.inboxes.get(name)
        if inbox is None:
            inbox = self.inboxes[name] = Inbox()
        if (fresh := self._makes_room(inbox, content, by_source)) is None:
            return None
        state = state_on_arrival(self.preferences.get(user, DEFAULT), fresh.type, now)
        seq = inbox.last + 1
        arrival = Notification(self._ids.new_id(), user, seq, seq, now, now, fresh, state)
        inbox.append(arrival)
        return self._kept(inbox, arrival.entry(inbox.unread))

    def broadcast(self, to: str, content: Content, now: datetime, by_source: bool = True) -> Entry | None:
        """Adds a broadcast, and returns its entry. Returns None if the event is already in the feed."""
        name = feed_stream(to)
        kept = self.feeds.get(name)
        if kept is None:
            kept = self.feeds[name] = Feed()
        if (fresh := self._makes_room(kept, content, by_source)) is None:
            return None
        seq = kept.last + 1
        broadcast = Entry(name, seq, seq, self._ids.new_id(), fresh, now)
        kept.append(broadcast)
        return self._kept(kept, broadcast)

    def shrink(self) -> None:
        """Deletes the oldest entries of all streams until their total size is within the limit."""
        while self._bytes > self._limits.bytes and self._oldest:
            self.prune(next(iter(self._oldest.values())))

    def prune(self, kept: Feed | Inbox) -> None:
        """Deletes the oldest entry of a stream. If the same event arrives again, it counts as a new one."""
        gone = kept.prune()
        del kept.events[gone.content.origin, gone.content.event_id]
        del self._oldest[gone.id]
        self._bytes -= gone.weight

    def sign_out(self, sign_out: SignOut) -> bool:
        """Records a sign-out. Returns False, and records nothing, if the recorded one is not earlier."""
        known = self.sign_outs.get(sign_out.user)
        if known is not None and known >= sign_out.not_before:
            return False
        self.sign_outs[sign_out.user] = sign_out.not_before
        return True

    def keep_letter(self, letter: DeadLetter, now: datetime, by_source: bool = True) -> DeadLetter | None:
        """Stores a dead letter, and returns it as stored. If its event already has a dead letter, replaces that one,
        adds 1 to its `times`, and returns None."""
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
        """Adds a delivery, and returns it. Returns None if the event already has a delivery to this destination on this
        channel."""
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

    def _makes_room(self, kept: Feed | Inbox, content: Content, by_source: bool) -> Content | None:
        """Prepares a stream for an entry: registers the event, and deletes the oldest entry if the stream is full.
        Returns the content with the origin under which the event is stored (see find_origin). Returns None, and changes
        nothing, if the event is already stored."""
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
        """Returns the source of an event's dead letter; None if the event has no dead letter."""
        id = self._lettered.get((origin, event_id))
        return None if id is None else self.letters[id].letter.message.source

    def _kept(self, kept: Feed | Inbox, entry: Entry) -> Entry:
        """Counts a stored entry towards the size limit, and returns it."""
        self._oldest[entry.id] = kept
        self._bytes += entry.weight
        return entry


def _letter_weight(letter: DeadLetter) -> int:
    """Returns the approximate size of a dead letter in bytes."""
    return len(letter.message.body or b"") + 1_000
