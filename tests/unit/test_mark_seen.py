"""Moving the watermark of an inbox: what moves it, who is notified, and what may be repeated."""

from typing import Any
from uuid import UUID, uuid4

import pytest

from adapters.memory.inboxes import MemoryInboxes
from application.inbox.follow_changes import FollowChanges
from application.inbox.mark_notifications import MarkNotifications
from application.inbox.mark_seen import MarkSeen
from application.ports.backplane import BackplaneUnavailable
from domain.caller_errors import NotFound
from domain.notifications import NotificationFilter
from domain.positions import Cursor, Head, tag_of
from domain.streams import Seen
from tests.support.core import STREAM, Node, Reader, message, settle
from tests.unit.test_mark_notifications import LoggedBackplane


class Rig:
    def __init__(self) -> None:
        self.backplane = LoggedBackplane()
        self.node = Node(backplane=self.backplane)
        self.inboxes = MemoryInboxes(self.node.store.records)
        node = self.node
        self.see = MarkSeen(self.inboxes, node.store, self.backplane, node.clock, node.counters)
        self.mark = MarkNotifications(self.inboxes, node.store, self.backplane, node.clock, node.counters)
        self.sent = 0

    async def send(self, count: int = 1, to: str = "ada") -> None:
        for _ in range(count):
            self.sent += 1
            await self.node.record(message("direct", {"to": to}, f"d-{self.sent}"))

    async def id(self, seq: int, user: str = "ada") -> UUID:
        page = await self.inboxes.page(user, NotificationFilter(archived=None), 1, before=seq + 1)
        return page.notifications[0].id

    async def reader(self, user: str = "ada", **options: Any) -> Reader:
        session = await self.node.open(user, **options)
        session.complete_first_command(None)
        return Reader(self.node, session)


@pytest.fixture
def rig() -> Rig:
    return Rig()


def totals(head: Head) -> tuple[int, int, int]:
    return head.seen_seq, head.unread, head.unseen


async def test_up_to_is_a_position_an_id_or_everything(rig: Rig) -> None:
    await rig.send(5)
    await rig.mark.one("ada", await rig.id(3), "archived")  # 6
    assert totals(await rig.see("ada", 2)) == (2, 4, 2)
    assert totals(await rig.see("ada", await rig.id(3))) == (3, 4, 2)
    assert totals(await rig.see("ada")) == (5, 4, 0)
    for again in (None, 5, 1, 0, -1, 10**14, await rig.id(2)):
        assert totals(await rig.see("ada", again)) == (5, 4, 0)
    now = rig.node.clock.now()
    moves = [Seen("inbox:ada", 2, 7, 2, now), Seen("inbox:ada", 3, 8, 2, now), Seen("inbox:ada", 5, 9, 0, now)]
    assert rig.backplane.published[1:] == [[move] for move in moves]


async def test_up_to_an_unknown_notification_moves_nothing(rig: Rig) -> None:
    await rig.send()
    await rig.send(to="bob")
    for id in (await rig.id(1, "bob"), uuid4()):
        with pytest.raises(NotFound):
            await rig.see("ada", id)
    assert totals(await rig.see("ada", 0)) == (0, 1, 1)
    assert totals(await rig.see("nobody")) == (0, 0, 0)
    assert rig.backplane.published == []


async def test_marking_does_not_move_the_watermark(rig: Rig) -> None:
    await rig.send(4)
    await rig.see("ada", 1)
    _, head = await rig.mark.one("ada", await rig.id(4), "read")
    assert totals(head) == (1, 3, 2)
    assert totals((await rig.mark.all("ada", "read")).head) == (1, 0, 0)
    _, head = await rig.mark.one("ada", await rig.id(2), "unread")
    assert totals(head) == (1, 1, 1)


async def test_a_failed_publish_does_not_undo_the_move(rig: Rig) -> None:
    await rig.send(2)
    rig.backplane.failing = BackplaneUnavailable("away")
    assert totals(await rig.see("ada")) == (2, 2, 0)
    assert rig.node.counters.publish_failures == 1


async def test_herald_v1_sessions_are_notified_and_plain_ones_are_not(rig: Rig) -> None:
    await rig.node.start()
    await rig.send(3)
    socket = await rig.reader(protocol=True)
    of_a_type = await rig.reader(protocol=True, types=frozenset({"other"}))
    events = await rig.reader(endpoint=STREAM, protocol=True)
    plain, plain_events = await rig.reader(), await rig.reader(endpoint=STREAM)
    stranger = await rig.reader("bob", protocol=True)
    await settle()
    await rig.see("ada", 2)
    await settle()
    seen = {"kind": "seen", "stream": "inbox", "seq": 2, "changed": 4, "unseen": 1}
    for reader in (socket, of_a_type, events):
        assert [(one["kind"], one["unread"], one["unseen"]) for one in reader.objects[:1]] == [("hello", 3, 3)]
        assert reader.objects[1:] == [seen]
        assert reader.session.positions.by_name["inbox"] == 4
    assert (plain.frames, len(plain_events.objects), len(stranger.objects)) == ([], 1, 1)
    assert await rig.node.store.heads(["inbox:ada"]) == {"inbox:ada": await head_of(rig)}
    for reader in (socket, of_a_type, events, plain, plain_events, stranger):
        await reader.leave()


async def head_of(rig: Rig) -> Head:
    return (await rig.inboxes.page("ada", NotificationFilter(), 1)).head


async def test_a_lost_move_is_found_by_comparing_with_the_store(rig: Rig) -> None:
    await rig.node.start()
    await rig.send(2)
    socket = await rig.reader(protocol=True)
    await settle()
    rig.backplane.failing = BackplaneUnavailable("away")
    await rig.see("ada", 1)
    await rig.see("ada", 2)
    await rig.node.sweep(12)
    # The last move only: an inbox has one watermark.
    assert socket.objects[1:] == [{"kind": "seen", "stream": "inbox", "seq": 2, "changed": 4, "unseen": 0}]
    await socket.leave()


@pytest.mark.parametrize("endpoint", ["ws", "sse"])
async def test_a_client_that_was_away_receives_the_last_move_in_order(rig: Rig, endpoint: str) -> None:
    await rig.node.start()
    await rig.send(3)
    await rig.see("ada", 1)  # 4
    await rig.send()  # 5
    await rig.see("ada", 3)  # 6
    await rig.mark.one("ada", await rig.id(1), "read")  # 7
    options = {"endpoint": STREAM} if endpoint == "sse" else {}
    cursor = str(Cursor(await rig.node.store.epoch(), tag_of("ada"), {"inbox": 2}))
    reader = await rig.reader(protocol=True, cursor=cursor, **options)
    await settle()
    hello, *entries = reader.objects
    assert (hello["resumed"], hello["unread"], hello["unseen"]) == (True, 3, 1)
    assert [(one["kind"], one.get("changed", one["seq"]), one["unseen"]) for one in entries] == [
        ("notification", 3, 1),
        ("notification", 5, 1),
        ("seen", 6, 1),
        ("notification", 7, 1),
    ]
    assert "id" not in entries[2]
    await reader.leave()


async def test_polling_returns_the_move_beside_the_notifications(rig: Rig) -> None:
    await rig.send(2)
    follow = FollowChanges(rig.inboxes, rig.node.store)
    start = await follow("ada", None, 100)
    assert (start.seen, totals(start.head)) == (None, (0, 2, 2))
    await rig.see("ada", 1)
    await rig.send()
    then = await follow("ada", start.cursor, 1)
    assert [one.seq for one in then.notifications] == [4]
    assert then.seen == Seen("inbox:ada", 1, 3, 2)
    assert totals(then.head) == (1, 3, 2)
    assert (await follow("ada", then.cursor, 1)).seen is None
