"""Browsing an inbox: which notifications are listed, in which order, and where the next page starts."""

from typing import Any
from uuid import uuid4

import pytest

from adapters.memory.inboxes import MemoryInboxes
from application.inbox.browse_inbox import BrowseInbox, NotificationList
from domain.caller_errors import InvalidInput, NotFound
from domain.notifications import NotificationFilter, page_cursor, read_page_cursor
from domain.positions import read_cursor, tag_of
from tests.support.core import NOW, Node, message

EVERY = NotificationFilter()


class Rig:
    def __init__(self) -> None:
        self.node = Node()
        self.inboxes = MemoryInboxes(self.node.store.records)
        self.browse = BrowseInbox(self.inboxes, self.node.store)
        self.sent = 0

    async def send(self, count: int, to: str = "ada") -> None:
        for _ in range(count):
            self.sent += 1
            await self.node.record(message("direct", {"type": f"t{self.sent % 2}", "to": to}, f"d-{self.sent}"))

    async def mark(self, seq: int, mark: Any) -> None:
        page = await self.inboxes.page("ada", NotificationFilter(archived=None), 1, before=seq + 1)
        await self.inboxes.change("ada", page.notifications[0].id, mark, NOW)


@pytest.fixture
def rig() -> Rig:
    return Rig()


def seqs(listing: NotificationList) -> list[int]:
    return [one.seq for one in listing.notifications]


async def test_an_empty_inbox(rig: Rig) -> None:
    for listing in (await rig.browse.by_cursor("ada", EVERY, 20), await rig.browse.by_page("ada", EVERY, 1, 20)):
        assert (seqs(listing), listing.head.unread, listing.next_cursor) == ([], 0, None)
    assert listing.total == 0
    assert (await rig.browse.head("ada")).unread == 0
    assert await rig.browse.unread_by_type("ada") == {}


@pytest.mark.parametrize("limit", [1, 2, 3, 6, 7, 8, 100])
async def test_pages_by_cursor_contain_each_notification_once_newest_first(rig: Rig, limit: int) -> None:
    await rig.send(7)
    found: list[int] = []
    cursor = None
    while True:
        listing = await rig.browse.by_cursor("ada", EVERY, limit, cursor)
        assert len(listing.notifications) == min(limit, 7 - len(found))
        found += seqs(listing)
        await rig.send(1)  # arrivals in between do not shift the pages
        if (cursor := listing.next_cursor) is None:
            break
    assert found == [7, 6, 5, 4, 3, 2, 1]


async def test_pages_by_number_have_a_total(rig: Rig) -> None:
    await rig.send(5)
    pages = [await rig.browse.by_page("ada", EVERY, page, 2) for page in (1, 2, 3, 4)]
    assert [seqs(page) for page in pages] == [[5, 4], [3, 2], [1], []]
    assert [page.total for page in pages] == [5, 5, 5, 5]
    assert [page.next_cursor is None for page in pages] == [False, False, True, True]
    follow = await rig.browse.by_cursor("ada", EVERY, 2, pages[0].next_cursor)
    assert seqs(follow) == [3, 2]
    assert follow.total is None


async def test_pages_of_a_filtered_list_keep_the_filter(rig: Rig) -> None:
    await rig.send(6)
    await rig.mark(5, "read")
    await rig.mark(1, "archived")
    odd = NotificationFilter(type="t1")
    first = await rig.browse.by_cursor("ada", odd, 1)
    assert seqs(first) == [5]
    rest = await rig.browse.by_cursor("ada", odd, 5, first.next_cursor)
    assert (seqs(rest), rest.next_cursor) == ([3], None)
    assert seqs(await rig.browse.by_cursor("ada", NotificationFilter(read=False), 20)) == [6, 4, 3, 2]
    assert seqs(await rig.browse.by_cursor("ada", NotificationFilter(archived=True), 20)) == [1]
    assert (await rig.browse.by_page("ada", odd, 1, 1)).total == 2
    assert await rig.browse.unread_by_type("ada") == {"t0": 3, "t1": 1}
    assert (await rig.browse.head("ada")).unread == 4


async def test_a_list_has_a_cursor_for_changes(rig: Rig) -> None:
    await rig.send(2)
    await rig.mark(1, "read")
    cursor = read_cursor((await rig.browse.by_cursor("ada", EVERY, 1)).cursor)
    assert cursor is not None
    assert cursor.epoch == await rig.node.store.epoch()
    assert (cursor.tag, cursor.positions) == (tag_of("ada"), {"inbox": 3})


async def test_one_reads_archived_notifications_but_none_of_another_user(rig: Rig) -> None:
    await rig.send(1)
    (one,) = (await rig.browse.by_cursor("ada", EVERY, 1)).notifications
    assert await rig.browse.one("ada", one.id) == one
    await rig.mark(1, "archived")
    assert (await rig.browse.one("ada", one.id)).state.archived
    for user, id in (("bob", one.id), ("ada", uuid4())):
        with pytest.raises(NotFound):
            await rig.browse.one(user, id)


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "7",
        page_cursor("bob", 3),
        page_cursor("ada", 3) + " ",
        page_cursor("ada", 3) + "\n",
        page_cursor("ada", 10**15),
        f"1.abc.{tag_of('ada')}.inbox:3",
    ],
)
async def test_invalid_page_cursors_are_refused(rig: Rig, cursor: str) -> None:
    await rig.send(3)
    with pytest.raises(InvalidInput) as caught:
        await rig.browse.by_cursor("ada", EVERY, 5, cursor)
    assert caught.value.field == "cursor"


def test_page_cursors_round_trip() -> None:
    assert read_page_cursor("ada", page_cursor("ada", 999_999_999_999_999)) == 999_999_999_999_999


async def test_an_unstorable_type_is_refused(rig: Rig) -> None:
    with pytest.raises(InvalidInput) as caught:
        await rig.browse.by_page("ada", NotificationFilter(type="a\0"), 1, 5)
    assert caught.value.field == "type"
