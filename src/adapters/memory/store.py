"""The store in memory, used with `DATABASE_URL=memory:` and by unit tests. It is the simplest implementation of the
port Store."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from datetime import datetime

from adapters.memory.shared_records import MemoryRecords
from adapters.memory.streams import Inbox
from application.ports.store import Moved, Recorded, StreamPage
from domain.deliveries import Delivery
from domain.plans import DeadLetter, Plan
from domain.positions import Head
from domain.streams import Entry, SignOut, StreamName


class MemoryStore:
    """Implements the port Store on the shared MemoryRecords."""

    def __init__(self, records: MemoryRecords) -> None:
        self._records = records

    async def epoch(self) -> str:
        return self._records.epoch

    async def record(self, plans: Sequence[Plan], now: datetime) -> Recorded:
        entries: list[Entry] = []
        sign_outs: list[SignOut] = []
        letters: list[DeadLetter] = []
        deliveries: list[Delivery] = []
        repeated: list[Plan] = []
        for plan in plans:
            by_source = plan.by_source
            before = len(entries) + len(sign_outs) + len(letters) + len(deliveries)
            intended = len(plan.broadcasts) + len(plan.sign_outs) + len(plan.deliveries)
            for addressed in plan.addressed:
                intended += len(addressed.users)
                notified = (self._records.notify(user, addressed.content, now, by_source) for user in addressed.users)
                entries.extend(entry for entry in notified if entry is not None)
            for broadcast in plan.broadcasts:
                entry = self._records.broadcast(broadcast.feed, broadcast.content, now, by_source)
                if entry is not None:
                    entries.append(entry)
            sign_outs.extend(sign_out for sign_out in plan.sign_outs if self._records.sign_out(sign_out))
            made = (self._records.deliver(planned, now, by_source) for planned in plan.deliveries)
            deliveries.extend(delivery for delivery in made if delivery is not None)
            if plan.dead_letter is not None:
                intended += 1
                letter = self._records.keep_letter(plan.dead_letter, now, by_source)
                if letter is not None:
                    letters.append(letter)
            if intended and before == len(entries) + len(sign_outs) + len(letters) + len(deliveries):
                repeated.append(plan)
        self._records.shrink()
        return Recorded(tuple(entries), tuple(sign_outs), tuple(letters), tuple(repeated), tuple(deliveries))

    async def heads(self, streams: Iterable[StreamName]) -> dict[StreamName, Head]:
        return {name: self._records.head(name) for name in streams}

    async def moved(self, since: str | None) -> Moved:
        # Reading the heads of all streams from memory is as fast as keeping a record of those that have changed.
        return Moved(None, None)

    async def arrivals(self, stream: StreamName, after: int, limit: int) -> StreamPage:
        kept = self._records.stream(stream)
        head = self._records.head(stream)
        if kept is None:
            return StreamPage((), after, head)
        first = bisect_right(kept.seqs, after)
        taken = kept.seqs[first : first + limit]
        cut = first + limit < len(kept.seqs)
        return StreamPage(tuple(map(kept.entry, taken)), taken[-1] if cut else max(after, head.last), head)

    async def changes(self, stream: StreamName, after: int, limit: int) -> StreamPage:
        inbox = self._records.stream(stream)
        if not isinstance(inbox, Inbox):
            return await self.arrivals(stream, after, limit)  # broadcasts never change after their arrival
        changes = inbox.changes
        first = bisect_left(changes, (after + 1, 0))
        # Include all entries at the last position, however many a bulk change has put there.
        end = first + limit
        if end < len(changes):
            end = bisect_left(changes, (changes[end - 1][0] + 1, 0))
        taken = changes[first:end]
        head = self._records.head(stream)
        entries = tuple(inbox.notifications[seq].entry(head) for _, seq in taken)
        upto = taken[-1][0] if end < len(changes) else max(after, head.last)
        return StreamPage(entries, upto, head, head.seen_between(stream, after, upto))

    async def not_before(self, user: str) -> datetime | None:
        return self._records.sign_outs.get(user)

    async def ping(self) -> None:
        return
