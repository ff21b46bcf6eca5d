"""Following changes by polling: from any cursor to the current state, or a reported gap."""

import random
from typing import Any

import pytest

from adapters.memory.inboxes import MemoryInboxes
from adapters.memory.preferences import MemoryPreferences
from adapters.memory.shared_records import Limits
from application.inbox.browse_inbox import BrowseInbox
from application.inbox.follow_changes import Changes, FollowChanges
from domain.notifications import Notification, NotificationFilter
from domain.positions import Cursor, read_cursor, tag_of
from domain.preferences import Preferences
from tests.support.core import NOW, FaultyStore, Node, message

EVERY = NotificationFilter(archived=None)


class Rig:
    def __init__(self, limits: Limits | None = None) -> None:
        self.node = Node(FaultyStore(limits))
        self.inboxes = MemoryInboxes(self.node.store.records)
        self.browse = BrowseInbox(self.inboxes, self.node.store)
        self.follow = FollowChanges(self.inboxes, self.node.store)
        self.sent = 0

    async def send(self, count: int = 1, to: str = "ada") -> None:
        for _ in range(count):
            self.sent += 1
            self.node.clock.turn(1)
            await self.node.record(message("direct", {"to": to}, f"d-{self.sent}"))

    async def mark(self, seq: int, mark: Any) -> None:
        page = await self.inboxes.page("ada", EVERY, 1, before=seq + 1)
        await self.inboxes.change("ada", page.notifications[0].id, mark, self.node.clock.now())

    async def cursor(self, *, user: str = "ada", epoch: str | None = None, **positions: int) -> str:
        return str(Cursor(epoch or await self.node.store.epoch(), tag_of(user), positions))


@pytest.fixture
def rig() -> Rig:
    return Rig()


def seqs(changes: Changes) -> list[tuple[int, int]]:
    return [(one.seq, one.changed) for one in changes.notifications]


def positions(changes: Changes) -> dict[str, int]:
    cursor = read_cursor(changes.cursor)
    assert cursor is not None
    return dict(cursor.positions)


async def test_without_a_cursor_it_starts_at_the_head(rig: Rig) -> None:
    await rig.send(3)
    first = await rig.follow("ada", None, 100)
    assert (first.notifications, first.more, first.gap, first.head.unread) == ([], False, False, 3)
    assert positions(first) == {"inbox": 3}
    await rig.send()
    await rig.send(to="bob")
    then = await rig.follow("ada", first.cursor, 100)
    assert (seqs(then), then.more, then.gap, then.head.unread) == ([(4, 4)], False, False, 4)
    assert (await rig.follow("ada", then.cursor, 100)).notifications == []


async def test_each_notification_comes_once_in_its_current_state(rig: Rig) -> None:
    await rig.send(3)
    await rig.mark(1, "read")
    await rig.mark(3, "archived")
    await rig.mark(1, "unread")
    await rig.mark(2, "read")
    changes = await rig.follow("ada", await rig.cursor(inbox=0), 100)
    assert seqs(changes) == [(3, 5), (1, 6), (2, 7)]
    three, one, two = changes.notifications
    assert three.state.archived
    assert (one.state.read, two.state.read, two.state.read_at) == (False, True, rig.node.clock.now())
    stored = [await rig.browse.one("ada", found.id) for found in (one, two)]
    assert [one, two] == stored


async def test_an_unchanged_arrival_is_complete(rig: Rig) -> None:
    await rig.send()
    (found,) = (await rig.follow("ada", await rig.cursor(inbox=0), 100)).notifications
    assert found == await rig.browse.one("ada", found.id)


async def test_a_page_never_ends_inside_a_bulk_change(rig: Rig) -> None:
    await rig.send(5)
    await rig.inboxes.change_all("ada", "read", 5, 500, NOW)
    await rig.send()
    first = await rig.follow("ada", await rig.cursor(inbox=0), 2)
    assert seqs(first) == [(1, 6), (2, 6), (3, 6), (4, 6), (5, 6)]
    assert first.more
    last = await rig.follow("ada", first.cursor, 2)
    assert (seqs(last), last.more) == ([(7, 7)], False)


@pytest.mark.parametrize("limit", [1, 3, 100])
async def test_following_to_the_end_gives_the_list(rig: Rig, limit: int) -> None:
    """Whatever happens in between, in any order."""
    dice = random.Random(limit)
    mine: dict[Any, Notification] = {}
    cursor = await rig.cursor(inbox=0)
    for round in range(60):
        for _ in range(dice.randint(0, 3)):
            if rig.sent == 0 or dice.random() < 0.4:
                await rig.send()
            else:
                await rig.mark(dice.randint(1, 200), dice.choice(["read", "unread", "archived", "read"]))
        if round % 20 == 19:
            await rig.inboxes.change_all("ada", dice.choice(["read", "archived"]), 40, 7, NOW)
        changes = await rig.follow("ada", cursor, limit)
        while True:
            assert not changes.gap
            for one in changes.notifications:
                if one.state.archived:
                    mine.pop(one.id, None)
                else:
                    mine[one.id] = one
            cursor = changes.cursor
            if not changes.more:
                break
            changes = await rig.follow("ada", cursor, limit)
        listing = await rig.browse.by_cursor("ada", NotificationFilter(), 1000)
        assert sorted(mine.values(), key=lambda one: -one.seq) == list(listing.notifications)
        assert changes.head.unread == listing.head.unread
        assert changes.cursor == listing.cursor
    assert len(mine) > 1


async def test_cursors_of_other_streams_are_returned_unchanged(rig: Rig) -> None:
    await rig.send(2)
    changes = await rig.follow("ada", await rig.cursor(news=41, inbox=1, staff=7), 100)
    assert positions(changes) == {"news": 41, "inbox": 2, "staff": 7}
    assert seqs(changes) == [(2, 2)]
    only_feeds = await rig.follow("ada", await rig.cursor(news=41), 100)
    assert (seqs(only_feeds), only_feeds.gap) == ([], False)
    assert positions(only_feeds) == {"news": 41, "inbox": 2}


@pytest.mark.parametrize("what", ["unreadable", "empty", "epoch", "user", "beyond", "nobody"])
async def test_an_unusable_cursor_is_a_gap(rig: Rig, what: str) -> None:
    await rig.send(2)
    since = {
        "unreadable": "rubbish",
        "empty": "",
        "epoch": await rig.cursor(epoch="000000000000", inbox=1, news=4),
        "user": await rig.cursor(user="bob", inbox=1, news=4),
        "beyond": await rig.cursor(inbox=3),
        "nobody": f"1.{await rig.node.store.epoch()}..news:4",
    }[what]
    changes = await rig.follow("ada", since, 100)
    assert (changes.gap, changes.notifications, changes.more, changes.head.unread) == (True, [], False, 2)
    assert positions(changes) == {"inbox": 2}
    after = await rig.follow("ada", changes.cursor, 100)
    assert not after.gap


async def test_pruned_entries_are_a_gap_and_the_kept_ones_follow() -> None:
    rig = Rig(Limits(entries_per_stream=3))
    await rig.send(5)
    lost = await rig.follow("ada", await rig.cursor(inbox=1), 2)
    assert (lost.gap, seqs(lost), lost.more) == (True, [(3, 3), (4, 4)], True)
    rest = await rig.follow("ada", lost.cursor, 2)
    assert (rest.gap, seqs(rest), rest.more) == (False, [(5, 5)], False)
    assert not (await rig.follow("ada", await rig.cursor(inbox=2), 2)).gap


async def test_entries_pruned_between_the_two_reads_are_a_gap() -> None:
    rig = Rig(Limits(entries_per_stream=2))
    await rig.send(2)
    since = await rig.cursor(inbox=0)
    changes = rig.node.store.changes

    async def late(*asked: Any) -> Any:
        await rig.send(1)
        return await changes(*asked)

    rig.node.store.changes = late
    found = await rig.follow("ada", since, 100)
    assert (found.gap, seqs(found)) == (True, [(2, 2), (3, 3)])


async def test_a_notification_that_changes_during_the_lookup_comes_again(rig: Rig) -> None:
    await rig.send(2)
    await rig.mark(1, "read")
    since = await rig.cursor(inbox=0)
    some = rig.inboxes.some

    async def late(*asked: Any) -> Any:
        await rig.mark(1, "archived")
        return await some(*asked)

    rig.inboxes.some = late
    first = await rig.follow("ada", since, 100)
    assert positions(first) == {"inbox": 3}
    assert [(one.seq, one.state.archived) for one in first.notifications] == [(2, False), (1, True)]
    then = await rig.follow("ada", first.cursor, 100)
    assert [(one.seq, one.changed, one.state.archived) for one in then.notifications] == [(1, 4, True)]


async def test_muted_notifications_are_among_the_changes(rig: Rig) -> None:
    await MemoryPreferences(rig.node.store.records).put("ada", Preferences(websocket_notifications=False), NOW)
    await rig.send()
    (found,) = (await rig.follow("ada", await rig.cursor(inbox=0), 100)).notifications
    assert found.state.muted
