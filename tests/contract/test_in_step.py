"""The guarantee of positions, on every store: a client that follows an inbox by its positions ends in the state of the
inbox, under concurrent writes, state changes and reads."""

import asyncio
import random
from collections.abc import Sequence
from typing import Any, Literal, TypeAlias
from uuid import UUID

from domain.notification_state import StateChange
from domain.notifications import NotificationFilter
from domain.streams import Entry, Seen
from tests.support.stores import Sent, Stores, check_counters, direct, head, kept, later, record

USERS = ("ada", "bob", "eve")
MARKS: tuple[StateChange, ...] = ("read", "unread", "archived")
MASS_ACTS: tuple[Literal["read", "archived"], ...] = ("read", "archived")

# The entries of one position: of one arrival, of one change, or of a move of the watermark.
Act: TypeAlias = tuple[Entry, ...] | tuple[Seen]


class Crowd:
    """Writers, markers and followers of inboxes, and the entries that the store returned to them."""

    def __init__(self, stores: Stores, seed: int) -> None:
        self.stores = stores
        self.chance = random.Random(seed)
        self.told: list[Act] = []
        self.totals: list[tuple[str, int, int]] = []
        self.working = True

    async def write(self, writer: int, rounds: int) -> None:
        for number in range(rounds):
            events: list[Sent] = [
                direct(f"{writer}-{number}-{part}", *self.chance.sample(USERS, 2)) for part in range(3)
            ]
            # Other writers store the same event concurrently, at another place in their batch.
            events.insert(self.chance.randrange(4), direct(f"shared-{number}", *USERS))
            recorded = await record(self.stores.store, *events, at=later(number))
            self.told += [(entry,) for entry in recorded.entries]
            await asyncio.sleep(0)

    async def mark(self, rounds: int) -> None:
        inboxes, chance = self.stores.inboxes, self.chance
        for number in range(rounds):
            user = chance.choice(USERS)
            page = await inboxes.page(user, NotificationFilter(archived=None), 6)
            if chance.random() < 0.25:
                seen = await inboxes.see(user, chance.randint(0, page.head.last + 1))
                entry = seen.head.seen_between(f"inbox:{user}", seen.head.last - 1, seen.head.last)
                if seen.is_moved:
                    assert entry is not None
                    self.told.append((entry,))
            elif chance.random() < 0.3:
                upto = chance.randint(0, page.head.last)
                marked = await inboxes.change_all(
                    user, chance.choice(MASS_ACTS), upto, chance.randint(1, 5), later(number)
                )
                self.told.append(marked.entries)
            elif page.notifications:
                one = await inboxes.change(
                    user, chance.choice(page.notifications).id, chance.choice(MARKS), later(number)
                )
                assert one is not None
                self.told.append(one.entries)
            await asyncio.sleep(0)

    async def pause(self) -> None:
        """Wait between two reads, so that most of the work is writing."""
        await asyncio.sleep(self.chance.uniform(0, 0.01))

    async def follow_changes(self, user: str) -> tuple[dict[UUID, Any], int]:
        """Follow an inbox as a client does, by changes only. Returns its final state and watermark."""
        after, known, watermark = 0, {}, 0
        while True:
            done = not self.working
            page = await self.stores.store.changes(f"inbox:{user}", after, self.chance.choice([1, 2, 5, 100]))
            places = [(entry.changed, entry.seq) for entry in page.entries]
            assert places == sorted(set(places))
            assert all(after < entry.changed <= page.upto for entry in page.entries)
            assert {(entry.unread, entry.unseen) for entry in page.entries} <= {(page.head.unread, page.head.unseen)}
            positions = [entry.changed for entry in page.in_order]
            assert positions == sorted(positions)
            if page.seen is not None:
                assert after < page.seen.changed <= page.upto
                assert page.seen.changed not in [entry.changed for entry in page.entries]
                assert (page.seen.seq, page.seen.unseen) == (page.head.seen_seq, page.head.unseen)
                watermark = page.seen.seq
            for entry in page.entries:
                assert entry.id not in known or known[entry.id][1] < entry.changed
                known[entry.id] = (entry.seq, entry.changed, entry.read, entry.kind == "archived")
            after = page.upto
            if after == page.head.last and done:
                return known, watermark
            await self.pause()

    async def follow_arrivals(self, user: str) -> list[tuple[int, UUID]]:
        after, seen = 0, []
        while True:
            done = not self.working
            page = await self.stores.store.arrivals(f"inbox:{user}", after, self.chance.choice([1, 2, 5, 100]))
            assert all(after < entry.seq <= page.upto for entry in page.entries)
            seen += [(entry.seq, entry.id) for entry in page.entries]
            after = page.upto
            if after == page.head.last and done:
                return seen
            await self.pause()

    async def count(self, user: str) -> None:
        """Check that the stored totals are correct at every moment, not only at the end."""
        while self.working:
            page = await self.stores.inboxes.page(user, NotificationFilter(read=False), 1_000)
            unseen = [one for one in page.notifications if one.seq > page.head.seen_seq]
            assert (len(page.notifications), len(unseen)) == (page.head.unread, page.head.unseen)
            await self.pause()


def positions_of(user: str, told: Sequence[Act]) -> list[Act]:
    """Return the changes of an inbox in order: the entries of each position."""
    acts = [act for act in told if act and act[0].stream == f"inbox:{user}"]
    return sorted(acts, key=lambda act: act[0].changed)


async def test_followers_converge_under_concurrent_writes_changes_and_reads(stores: Stores) -> None:
    crowd = Crowd(stores, seed=0)
    followers = [asyncio.create_task(crowd.follow_changes(user)) for user in USERS]
    readers = [asyncio.create_task(crowd.follow_arrivals(user)) for user in USERS]
    counters = [asyncio.create_task(crowd.count(user)) for user in USERS]
    await asyncio.gather(*(crowd.write(writer, 5) for writer in range(3)), *(crowd.mark(15) for _ in range(3)))
    crowd.working = False
    states, arrivals = await asyncio.gather(*followers), await asyncio.gather(*readers)
    await asyncio.gather(*counters)
    for user, (state, watermark), seen in zip(USERS, states, arrivals, strict=True):
        rows = await kept(stores, user)
        assert state == {one.id: (one.seq, one.changed, one.state.read, one.state.archived) for one in rows}
        assert seen == [(one.seq, one.id) for one in rows]
        assert len({one.content.event_id for one in rows}) == len(rows)
        await check_counters(stores, user)

        acts = positions_of(user, crowd.told)
        last = await head(stores, user)
        # Each position belongs to one change, and the totals returned with it are those at that position.
        assert [act[0].changed for act in acts] == list(range(1, last.last + 1))
        assert all(len({entry.changed for entry in act}) == 1 for act in acts)
        unread: dict[UUID, int] = {}
        moves = [0]
        for act in acts:
            for entry in act:
                if isinstance(entry, Seen):
                    assert entry.seq > moves[-1]
                    moves.append(entry.seq)
                elif entry.kind in ("arrival", "unread"):
                    unread[entry.id] = entry.seq
                else:
                    unread.pop(entry.id, None)
            unseen = len([seq for seq in unread.values() if seq > moves[-1]])
            assert {entry.unseen for entry in act} == {unseen}
            assert {entry.unread for entry in act if isinstance(entry, Entry)} <= {len(unread)}
        assert (last.last, last.pruned, last.unread, last.unseen) == (len(acts), 0, len(unread), unseen)
        assert last.seen_seq == watermark == moves[-1]
        assert {one.id for one in rows if not one.state.read and not one.state.archived} == unread.keys()


async def test_concurrent_devices_and_a_late_one_see_the_same_state(stores: Stores) -> None:
    await record(stores.store, *(direct(f"e{n}", "ada") for n in range(12)))
    crowd = Crowd(stores, 7)
    early = asyncio.create_task(crowd.follow_changes("ada"))

    async def device(mark: StateChange) -> None:
        for one in (await stores.inboxes.page("ada", NotificationFilter(), 12)).notifications:
            await stores.inboxes.change("ada", one.id, mark, later(1))
            await asyncio.sleep(0)

    await asyncio.gather(device("read"), device("unread"), device("read"))
    await stores.inboxes.change_all("ada", "archived", 4, 3, later(2))
    crowd.working = False
    assert await early == await crowd.follow_changes("ada")
