"""Changing the state of notifications: what changes, who is notified, and what may be repeated."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import pytest

from adapters.memory.backplane import MemoryBackplane
from adapters.memory.inboxes import MemoryInboxes
from application.inbox.mark_notifications import BulkChangePolicy, MarkedAll, MarkNotifications
from application.ports.backplane import BackplaneUnavailable
from application.ports.inboxes import StateChanged
from application.ports.store import StoreUnavailable
from domain.caller_errors import NotFound
from domain.notifications import Notification, NotificationFilter
from domain.streams import Entry, SignOut
from tests.support.core import STREAM, Node, Reader, message, settle

INBOX = NotificationFilter()


class LoggedBackplane(MemoryBackplane):
    def __init__(self) -> None:
        super().__init__()
        self.published: list[Sequence[Entry]] = []
        self.failing: Exception | None = None

    async def publish(self, entries: Sequence[Entry], sign_outs: Sequence[SignOut]) -> None:
        if self.failing is not None:
            raise self.failing
        self.published.append(entries)
        await super().publish(entries, sign_outs)


class BusyInboxes(MemoryInboxes):
    """Inboxes in which something happens between any two chunks of a bulk change."""

    async def meanwhile(self) -> None:
        """Do nothing. Tests replace this."""

    async def change_all(self, user: str, change: Any, upto: int, limit: int, now: datetime) -> StateChanged:
        marked = await super().change_all(user, change, upto, limit, now)
        await self.meanwhile()
        return marked


class Rig:
    def __init__(self) -> None:
        self.backplane = LoggedBackplane()
        self.node = Node(backplane=self.backplane)
        self.inboxes = BusyInboxes(self.node.store.records)
        self.counters = self.node.counters
        node, small = self.node, BulkChangePolicy(chunk=3)
        self.mark = MarkNotifications(self.inboxes, node.store, self.backplane, node.clock, node.counters, small)
        self.sent = 0

    async def send(self, count: int = 1, to: str = "ada") -> None:
        for _ in range(count):
            self.sent += 1
            await self.node.record(message("direct", {"to": to}, f"d-{self.sent}"))

    async def listed(self, choice: NotificationFilter = INBOX) -> tuple[Notification, ...]:
        return (await self.inboxes.page("ada", choice, 10_000)).notifications

    async def seqs(self, choice: NotificationFilter) -> list[int]:
        return [one.seq for one in await self.listed(choice)]

    async def last(self) -> int:
        return (await self.inboxes.page("ada", NotificationFilter(), 1)).head.last

    async def unread(self) -> int:
        return (await self.inboxes.page("ada", NotificationFilter(), 1)).head.unread

    async def id(self, seq: int) -> UUID:
        page = await self.inboxes.page("ada", NotificationFilter(archived=None), 1, before=seq + 1)
        return page.notifications[0].id


@pytest.fixture
def rig() -> Rig:
    return Rig()


def totals(marked: MarkedAll) -> tuple[int, int]:
    return marked.count, marked.head.unread


async def test_a_notification_is_read_and_unread_again(rig: Rig) -> None:
    await rig.send(2)
    id = await rig.id(1)
    rig.node.clock.turn(5)
    read, head = await rig.mark.one("ada", id, "read")
    assert (read.id, read.seq, read.changed, read.state.read_at, head.unread) == (id, 1, 3, rig.node.clock.now(), 1)
    back, head = await rig.mark.one("ada", id, "unread")
    assert (back.changed, back.state.read_at, head.unread) == (4, None, 2)
    told = [(entry.kind, entry.seq, entry.changed, entry.unread) for (entry,) in rig.backplane.published]
    assert told == [("read", 1, 3, 1), ("unread", 1, 4, 2)]


@pytest.mark.parametrize("mark", ["read", "archived"])
async def test_a_change_without_effect_takes_no_position_and_is_not_published(rig: Rig, mark: Any) -> None:
    await rig.send()
    first = await rig.mark.one("ada", await rig.id(1), mark)
    assert await rig.mark.one("ada", await rig.id(1), mark) == first
    assert await rig.last() == 2
    assert len(rig.backplane.published) == 1


async def test_marking_an_unread_notification_unread_has_no_effect(rig: Rig) -> None:
    await rig.send()
    notification, head = await rig.mark.one("ada", await rig.id(1), "unread")
    assert (notification.changed, head.unread, rig.backplane.published) == (1, 1, [])


@pytest.mark.parametrize("mark", ["read", "unread"])
async def test_an_archived_notification_leaves_the_inbox(rig: Rig, mark: Any) -> None:
    await rig.send()
    await rig.mark.one("ada", await rig.id(1), "archived")
    with pytest.raises(NotFound):
        await rig.mark.one("ada", await rig.id(1), mark)
    assert await rig.last() == 2


@pytest.mark.parametrize("mark", ["read", "unread", "archived"])
async def test_a_notification_of_another_user_is_not_found(rig: Rig, mark: Any) -> None:
    await rig.send()
    for user, id in (("bob", await rig.id(1)), ("ada", uuid4())):
        with pytest.raises(NotFound):
            await rig.mark.one(user, id, mark)
    assert rig.backplane.published == []
    assert await rig.last() == 1


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 6, 7])
async def test_a_bulk_change_runs_in_chunks_newest_first(rig: Rig, count: int) -> None:
    await rig.send(count)
    assert totals(await rig.mark.all("ada", "read")) == (count, 0)
    told = [[entry.seq for entry in entries] for entries in rig.backplane.published]
    assert [sorted(chunk) for chunk in told] == [list(range(max(1, end - 2), end + 1)) for end in range(count, 0, -3)]
    for number, entries in enumerate(rig.backplane.published, 1):
        assert {entry.changed for entry in entries} == {count + number}
    assert totals(await rig.mark.all("ada", "read")) == (0, 0)
    assert await rig.last() == count + len(told)


async def test_archive_all(rig: Rig) -> None:
    await rig.send(3)
    await rig.mark.one("ada", await rig.id(2), "read")
    assert totals(await rig.mark.all("ada", "archived")) == (3, 0)
    assert await rig.listed() == ()
    assert totals(await rig.mark.all("ada", "archived")) == (0, 0)


@pytest.mark.parametrize("mark", ["read", "archived"])
@pytest.mark.parametrize("up_to", [None, 1_000_000])
async def test_arrivals_during_a_bulk_change_stay_unread(rig: Rig, mark: Any, up_to: int | None) -> None:
    await rig.send(7)
    rig.inboxes.meanwhile = rig.send
    marked = await rig.mark.all("ada", mark, up_to)
    assert totals(marked) == (7, 2)
    assert len(await rig.listed(NotificationFilter(read=False))) == 3  # the last of them came after the count


@pytest.mark.parametrize("mark", ["read", "archived"])
async def test_up_to_accepts_a_position_or_a_notification(rig: Rig, mark: Any) -> None:
    await rig.send(5)
    assert totals(await rig.mark.all("ada", mark, 2)) == (2, 3)
    assert totals(await rig.mark.all("ada", mark, await rig.id(4))) == (2, 1)
    assert await rig.seqs(NotificationFilter(read=False)) == [5]
    for nothing in (0, -1):
        assert (await rig.mark.all("ada", mark, nothing)).count == 0


async def test_up_to_accepts_an_archived_notification(rig: Rig) -> None:
    await rig.send(3)
    await rig.mark.one("ada", await rig.id(2), "archived")
    assert totals(await rig.mark.all("ada", "read", await rig.id(2))) == (1, 1)


async def test_up_to_an_unknown_notification_changes_nothing(rig: Rig) -> None:
    await rig.send()
    await rig.send(to="bob")
    bobs = (await rig.inboxes.page("bob", NotificationFilter(), 1)).notifications[0].id
    for id in (bobs, uuid4()):
        with pytest.raises(NotFound):
            await rig.mark.all("ada", "read", id)
    assert await rig.unread() == 1


@pytest.mark.parametrize("fault", [BackplaneUnavailable("away"), RuntimeError("our mistake")])
async def test_a_failed_publish_does_not_undo_the_change(rig: Rig, fault: Exception) -> None:
    await rig.send(2)
    rig.backplane.failing = fault
    assert (await rig.mark.one("ada", await rig.id(1), "read"))[1].unread == 1
    assert totals(await rig.mark.all("ada", "read")) == (1, 0)
    assert rig.counters.publish_failures == 2


async def test_an_interrupted_bulk_change_is_completed_by_repeating_it(rig: Rig) -> None:
    await rig.send(7)

    async def break_off() -> None:
        raise StoreUnavailable("away")

    rig.inboxes.meanwhile = break_off
    with pytest.raises(StoreUnavailable):
        await rig.mark.all("ada", "read")
    del rig.inboxes.meanwhile
    assert totals(await rig.mark.all("ada", "read")) == (4, 0)


async def test_herald_v1_sessions_are_notified_and_plain_ones_are_not(rig: Rig) -> None:
    await rig.node.start()
    await rig.send(2)
    protocol = Reader(rig.node, await rig.node.open("ada", endpoint=STREAM, protocol=True))
    plain = Reader(rig.node, await rig.node.open("ada"))
    stranger = Reader(rig.node, await rig.node.open("bob", endpoint=STREAM, protocol=True))
    await settle()
    await rig.mark.one("ada", await rig.id(1), "read")
    await settle()
    await rig.mark.all("ada", "archived")
    await settle()
    told = [(one["kind"], one["seq"], one["changed"], one["unread"]) for one in protocol.objects[1:]]
    assert told[0] == ("read", 1, 3, 1)
    assert sorted(told[1:]) == [("archived", 1, 4, 0), ("archived", 2, 4, 0)]
    assert plain.frames == []
    assert [one["kind"] for one in stranger.objects] == ["hello"]
    for reader in (protocol, plain, stranger):
        await reader.leave()
