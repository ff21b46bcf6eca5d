"""REST v2 on the whole application, in this process and in memory: inbox and preferences of a user."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import httpx
import pytest
import pytest_asyncio
from litestar.testing import AsyncTestClient

from entrypoints.app import create_app
from entrypoints.settings.loader import load
from tests.support.clients import token
from tests.support.server import SECRET

INBOX = "/api/v2/notifications"
PREFERENCES = "/api/v2/preferences"
TYPES = "/api/v2/types"
IN_MEMORY = {"DATABASE_URL": "memory:", "HERALD_REST_RATE": "0", "HERALD_BROKER": "memory"}

# Every operation on one notification or on the whole inbox, as (method, path); {id} is the id of a notification.
OPERATIONS = [
    ("GET", INBOX),
    ("GET", f"{INBOX}/{{id}}"),
    ("PUT", f"{INBOX}/{{id}}/read"),
    ("PUT", f"{INBOX}/{{id}}/unread"),
    ("PUT", f"{INBOX}/mark-all-read"),
    ("PUT", f"{INBOX}/seen"),
    ("DELETE", f"{INBOX}/{{id}}"),
    ("DELETE", f"{INBOX}/clear-all"),
    ("GET", f"{INBOX}/unread-count"),
    ("GET", f"{INBOX}/changes"),
    ("GET", PREFERENCES),
    ("PUT", PREFERENCES),
    ("PATCH", PREFERENCES),
    ("GET", TYPES),
]


@asynccontextmanager
async def app_in(mode: Any, **environ: str) -> AsyncIterator[AsyncTestClient[Any]]:
    async with AsyncTestClient(
        create_app(load({**IN_MEMORY, **environ}, mode, {})), base_url="http://127.0.0.1"
    ) as client:
        yield client


# One application of each mode for all tests, each of which has users of its own.
pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client() -> AsyncIterator[AsyncTestClient[Any]]:
    """Open mode: the parameter `user_id` is trusted."""
    async with app_in("dev") as client:
        yield client


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def strict() -> AsyncIterator[AsyncTestClient[Any]]:
    """Token mode: every request needs a token."""
    async with app_in("serve", HERALD_JWT_SECRET=SECRET, HERALD_ORIGINS="https://herald.example") as client:
        yield client


class User:
    """One user of the application in open mode."""

    def __init__(self, client: AsyncTestClient[Any], name: str) -> None:
        self.client = client
        self.name = name

    async def sent(self, count: int = 1, source: str = "risk-events", **payload: Any) -> None:
        """Publish notifications for the user, oldest first."""
        events = [{"source": source, "payload": {"user_id": self.name, "n": n, **payload}} for n in range(count)]
        answer = await self.client.post("/api/v1/events", json=events)
        assert answer.status_code == 202, answer.text

    async def ask(self, method: str, path: str, status: int = 200, **more: Any) -> Any:
        query = {"user_id": self.name, **more.pop("query", {})}
        answer = await self.client.request(method, path, params=query, **more)
        assert answer.status_code == status, answer.text
        if status >= 400:
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.json()["status"] == status
        return answer.json()

    async def listing(self, **query: Any) -> Any:
        return await self.ask("GET", INBOX, query=query)

    async def items(self, **query: Any) -> Any:
        return (await self.listing(**query))["data"]

    async def seqs(self, **query: Any) -> list[int]:
        return [item["seq"] for item in await self.items(**query)]

    async def unread(self) -> int:
        return int((await self.ask("GET", f"{INBOX}/unread-count"))["unread_count"])


@pytest.fixture
def ada(client: AsyncTestClient[Any]) -> User:
    return User(client, f"ada-{uuid4()}")


@pytest.fixture
def bob(client: AsyncTestClient[Any]) -> User:
    return User(client, f"bob-{uuid4()}")


# --- one notification -------------------------------------------------------------------------------------------


async def test_an_item_has_every_field_of_the_notification(ada: User) -> None:
    body = (
        b'{"source": "user_service.group.add_users", "id": "e-1", "payload": {"event_type": "group_user_added",'
        b' "receivers": ["%s"], "data": {"group_name": "Family", "requester_username": "kim",'
        b' "user_to_add_identifier": "ada@x", "share": 1.00, "big": 12345678901234567890}}}' % ada.name.encode()
    )
    before = datetime.now(UTC)
    await ada.client.post("/api/v1/events", content=body)
    answer = await ada.client.get(f"{INBOX}?user_id={ada.name}")
    (item,) = answer.json()["data"]
    times = {name: item.pop(name) for name in ("time", "created_at", "updated_at")}
    assert item == {
        "id": item["id"],
        "seq": 1,
        "changed": 1,
        "event_id": "e-1",
        "user_id": ada.name,
        "title": "Added to Family",
        "message": "kim added ada@x to Family",
        "url": None,
        "notification_type": "group_user_added",
        "event_type": "group_user_added",
        "source": "user_service.group.add_users",
        "data": item["data"],
        "is_read": False,
        "is_archived": False,
        "is_muted": False,
        "read_at": None,
    }
    assert '"share":1.00,"big":12345678901234567890' in answer.text  # verbatim
    assert times["time"] <= times["created_at"] == times["updated_at"]
    assert times["created_at"].endswith("Z")
    assert before <= datetime.fromisoformat(times["created_at"]) <= datetime.now(UTC)
    assert await ada.ask("GET", f"{INBOX}/{item['id']}") == {**item, **times}


async def test_types_of_the_shipped_profiles_have_titles_made_from_the_type(ada: User) -> None:
    listed = (await ada.ask("GET", TYPES))["data"]
    assert {"type": "risk_alert", "title": "Risk alert", "profiles": ["trading"]} in listed
    assert {one["type"] for one in listed} == {
        *("group_user_added", "group_user_removed", "group_user_left", "group_head_chef_updated"),
        *("order.created", "order.status.updated", "risk_alert", "order_executed"),
    }


async def test_read_and_unread_are_idempotent(ada: User) -> None:
    await ada.sent(2)
    id = (await ada.items())[0]["id"]
    read = await ada.ask("PUT", f"{INBOX}/{id}/read")
    assert (read["is_read"], read["seq"], read["changed"], read["unread_count"]) == (True, 2, 3, 1)
    assert {**await ada.ask("GET", f"{INBOX}/{id}"), "unread_count": 1, "unseen_count": 1} == read
    assert read["read_at"] == read["updated_at"] > read["created_at"]
    assert await ada.ask("PUT", f"{INBOX}/{id}/read") == read
    assert await ada.unread() == 1
    unread = await ada.ask("PUT", f"{INBOX}/{id}/unread")
    assert (unread["is_read"], unread["read_at"], unread["changed"], unread["unread_count"]) == (False, None, 4, 2)
    assert await ada.ask("PUT", f"{INBOX}/{id}/unread") == unread
    assert await ada.unread() == 2


async def test_an_archived_notification_leaves_the_list_and_can_still_be_read(ada: User) -> None:
    await ada.sent(2)
    id = (await ada.items())[0]["id"]
    gone = await ada.ask("DELETE", f"{INBOX}/{id}")
    assert gone["unread_count"] == 1
    assert await ada.ask("DELETE", f"{INBOX}/{id}") == gone
    assert await ada.seqs() == [1]
    assert await ada.seqs(archived="true") == [2]
    found = await ada.ask("GET", f"{INBOX}/{id}")
    assert (found["is_archived"], found["changed"]) == (True, 3)
    for mark in ("read", "unread"):
        assert (await ada.ask("PUT", f"{INBOX}/{id}/{mark}", 404))["code"] == "not_found"


# --- the list ----------------------------------------------------------------------------------------------------


async def test_an_empty_inbox(ada: User) -> None:
    listing = await ada.listing()
    assert listing["data"] == []
    cursor = listing["meta"]["cursor"]
    totals = {"unread_count": 0, "unseen_count": 0}
    paging = {"next_cursor": None, "cursor": cursor, "page": 1, "size": 20}
    assert listing["meta"] == {**totals, "seen_seq": 0, **paging}
    assert await ada.ask("GET", f"{INBOX}/unread-count") == totals
    assert await ada.ask("PUT", f"{INBOX}/seen") == {"message": "Marked as seen.", "seen_seq": 0, **totals}


async def test_the_default_page_size_is_20(ada: User) -> None:
    await ada.sent(25)
    assert await ada.seqs() == list(range(25, 5, -1))
    assert await ada.seqs(page=2) == [5, 4, 3, 2, 1]
    assert len(await ada.seqs(limit=100)) == 25


async def test_pages_by_number_like_the_replaced_service(ada: User) -> None:
    await ada.sent(5)
    listing = await ada.listing(page=2, size=2)
    assert [item["seq"] for item in listing["data"]] == [3, 2]
    meta = listing["meta"]
    assert (meta["page"], meta["size"], meta["total"], meta["unread_count"]) == (2, 2, 5, 5)
    assert (await ada.listing(size=3))["meta"]["page"] == 1
    assert await ada.seqs(page=9, size=2) == []


async def test_a_list_without_parameters_is_page_one_and_has_a_cursor(ada: User) -> None:
    await ada.sent(25)
    meta = (await ada.listing())["meta"]
    assert (meta["page"], meta["size"]) == (1, 20)
    assert meta["next_cursor"]
    # The total is counted only if a page is requested by number.
    assert "total" not in meta
    assert (await ada.listing(limit=3))["meta"]["size"] == 3
    assert not {"page", "size", "total"} & (await ada.listing(cursor=meta["next_cursor"]))["meta"].keys()


@pytest.mark.parametrize("query", ["limit=2", "page=1&size=2", "limit=2&type=risk_alert&is_read=false"])
async def test_links_lead_through_all_pages_and_carry_no_token(
    ada: User, strict: AsyncTestClient[Any], query: str
) -> None:
    shown = token(ada.name, scope="events:publish")
    events = [{"source": "risk-events", "payload": {"user_id": ada.name, "n": n}} for n in range(5)]
    published = await strict.post("/api/v1/events", json=events, headers={"authorization": f"Bearer {shown}"})
    assert published.status_code == 202
    found = []
    address: Any = httpx.URL(f"http://testserver.local{INBOX}?user_id={ada.name}&{query}")
    while True:
        answer = await strict.get(str(address.copy_merge_params({"jwt": shown})))
        found += [item["seq"] for item in answer.json()["data"]]
        assert shown not in answer.headers["link"]
        links = httpx.Response(200, headers={"link": answer.headers["link"]}).links
        first = await strict.get(str(address.join(links["first"]["url"])), headers={"authorization": f"Bearer {shown}"})
        assert first.json()["data"][0]["seq"] == 5
        if "page" in query:
            assert ("prev" in links) == (len(found) > 2)
        if "next" not in links:
            break
        address = address.join(links["next"]["url"])
    assert found == [5, 4, 3, 2, 1]


async def test_a_cursor_is_stable_while_notifications_arrive_and_are_archived(ada: User) -> None:
    await ada.sent(6)
    first = await ada.listing(limit=2)
    await ada.sent(3)
    await ada.ask("DELETE", f"{INBOX}/{first['data'][0]['id']}")
    assert await ada.seqs(limit=10, cursor=first["meta"]["next_cursor"]) == [4, 3, 2, 1]


async def test_lists_are_filtered(ada: User) -> None:
    await ada.sent(2)
    await ada.sent(1, "execution-events")
    await ada.ask("PUT", f"{INBOX}/{(await ada.items())[-1]['id']}/read")
    types = {item["notification_type"] for item in await ada.items()}
    assert len(types) == 2
    assert await ada.seqs(type="risk_alert") == [2, 1]
    assert await ada.seqs(type="no_such_type") == []
    assert await ada.seqs(is_read="true") == [1]
    assert await ada.seqs(is_read="false", type="risk_alert") == [2]
    assert await ada.seqs(archived="true") == []
    listing = await ada.listing(type="risk_alert", page=1, size=1)
    assert (listing["meta"]["total"], listing["meta"]["unread_count"]) == (2, 2)
    by_type = await ada.ask("GET", f"{INBOX}/unread-count", query={"by_type": "true"})
    assert by_type["unread_count"] == 2
    assert sorted(by_type["by_type"].values()) == [1, 1]


async def test_lists_are_filtered_by_date(ada: User) -> None:
    await ada.sent(1)
    (item,) = await ada.items()
    stored = datetime.fromisoformat(item["created_at"])
    exactly = item["created_at"]
    today, other_zone = f"{stored:%Y-%m-%d}", stored.astimezone(datetime.fromisoformat("2026-01-01T00:00+05:30").tzinfo)
    naive = stored.replace(tzinfo=None).isoformat()
    for when in (exactly, today, naive, other_zone.isoformat()):
        assert await ada.seqs(start_date=when, end_date=when) == [1]
    assert await ada.seqs(start_date=f"{stored:%Y-%m-%d %H:%M}") == [1]
    later, earlier = (stored + timedelta(microseconds=step) for step in (1, -1))
    assert await ada.seqs(start_date=later.isoformat()) == []
    assert await ada.seqs(end_date=earlier.isoformat()) == []
    assert await ada.seqs(end_date=f"{stored - timedelta(days=1):%Y-%m-%d}") == []
    assert await ada.seqs(start_date=f"{stored + timedelta(days=1):%Y-%m-%d}") == []
    # As sent by a browser when the plus sign was not escaped.
    raw = await ada.client.get(f"{INBOX}?user_id={ada.name}&start_date={later.isoformat()}")
    assert (raw.status_code, raw.json()["data"]) == (200, [])


# --- bulk changes ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("body", [None, b"", b"{}", b"null", b'{"up_to": null}'])
async def test_mark_all_read(ada: User, bob: User, body: bytes | None) -> None:
    await ada.sent(3)
    await bob.sent(1)
    await ada.ask("PUT", f"{INBOX}/{(await ada.items())[0]['id']}/read")
    done = await ada.ask("PUT", f"{INBOX}/mark-all-read", content=body)
    assert (done["marked"], done["unread_count"]) == (2, 0)
    assert done["message"]
    assert (await ada.ask("PUT", f"{INBOX}/mark-all-read", content=body))["marked"] == 0
    assert await bob.unread() == 1


async def test_bulk_changes_stop_at_up_to(ada: User, bob: User) -> None:
    await ada.sent(6)
    await bob.sent(1)
    ids = {item["seq"]: item["id"] for item in await ada.items()}
    done = await ada.ask("PUT", f"{INBOX}/mark-all-read", json={"up_to": 2})
    assert (done["marked"], done["unread_count"]) == (2, 4)
    done = await ada.ask("PUT", f"{INBOX}/mark-all-read", json={"up_to": ids[3]})
    assert (done["marked"], done["unread_count"]) == (1, 3)
    done = await ada.ask("DELETE", f"{INBOX}/clear-all", query={"up_to": 1})
    assert (done["archived"], done["unread_count"]) == (1, 3)
    done = await ada.ask("DELETE", f"{INBOX}/clear-all", query={"up_to": ids[4]})
    assert (done["archived"], done["unread_count"]) == (3, 2)
    assert await ada.seqs() == [6, 5]
    for id in ((await bob.items())[0]["id"], str(uuid4())):
        await ada.ask("PUT", f"{INBOX}/mark-all-read", 404, json={"up_to": id})
        await ada.ask("DELETE", f"{INBOX}/clear-all", 404, query={"up_to": id})
    assert await ada.unread() == 2


async def test_clear_all(ada: User) -> None:
    await ada.sent(3)
    done = await ada.ask("DELETE", f"{INBOX}/clear-all")
    assert (done["archived"], done["unread_count"]) == (3, 0)
    assert (await ada.ask("DELETE", f"{INBOX}/clear-all"))["archived"] == 0
    assert await ada.seqs() == []


@pytest.mark.parametrize("body", [None, b"{}", b'{"up_to": null}'])
async def test_everything_is_marked_as_seen(ada: User, bob: User, body: bytes | None) -> None:
    await ada.sent(3)
    await bob.sent(1)
    for _ in range(2):
        done = await ada.ask("PUT", f"{INBOX}/seen", content=body)
        assert (done["seen_seq"], done["unread_count"], done["unseen_count"]) == (3, 3, 0)
    assert (await ada.listing())["meta"]["cursor"].endswith("inbox:4")
    assert (await bob.listing())["meta"]["unseen_count"] == 1


async def test_seen_is_a_watermark_that_is_reported_everywhere(ada: User, bob: User) -> None:
    await ada.sent(5)
    await bob.sent(1)
    ids = {item["seq"]: item["id"] for item in await ada.items()}
    start = (await ada.listing())["meta"]["cursor"]
    for up_to in (2, ids[3], ids[1], 0, -(10**30)):
        done = await ada.ask("PUT", f"{INBOX}/seen", json={"up_to": up_to})
        assert (done["seen_seq"], done["unread_count"], done["unseen_count"]) == (
            (2, 5, 3) if up_to == 2 else (3, 5, 2)
        )
    for id in ((await bob.items())[0]["id"], str(uuid4())):
        assert (await ada.ask("PUT", f"{INBOX}/seen", 404, json={"up_to": id}))["code"] == "not_found"
    answer = await ada.ask("GET", f"{INBOX}/changes", query={"since": start})
    assert answer["data"] == []  # those who poll upsert items by `id`
    assert answer["meta"]["seen"] == {"stream": "inbox", "seq": 3, "changed": 7, "unseen": 2}
    assert answer["meta"]["cursor"].endswith("inbox:7")
    later = await ada.ask("GET", f"{INBOX}/changes", query={"since": answer["meta"]["cursor"]})
    assert "seen" not in later["meta"]
    meta = (await ada.listing(page=1))["meta"]
    assert (meta["unread_count"], meta["unseen_count"], meta["seen_seq"]) == (5, 2, 3)
    # Marking does not move the watermark.
    done = await ada.ask("PUT", f"{INBOX}/{ids[5]}/read")
    assert (done["seq"], done["unread_count"], done["unseen_count"]) == (5, 4, 1)
    done = await ada.ask("DELETE", f"{INBOX}/{ids[1]}")
    assert (done["unread_count"], done["unseen_count"]) == (3, 1)
    done = await ada.ask("PUT", f"{INBOX}/mark-all-read", json={"up_to": 4})
    assert (done["marked"], done["unread_count"], done["unseen_count"]) == (3, 0, 0)
    done = await ada.ask("DELETE", f"{INBOX}/clear-all")
    assert (done["archived"], done["unseen_count"]) == (4, 0)
    await ada.sent(1)
    count = await ada.ask("GET", f"{INBOX}/unread-count", query={"by_type": "true"})
    assert count == {"unread_count": 1, "unseen_count": 1, "by_type": {"risk_alert": 1}}


# --- changes -----------------------------------------------------------------------------------------------------


async def test_following_changes_ends_in_the_state_of_the_list(ada: User) -> None:
    begin = (await ada.ask("GET", f"{INBOX}/changes"))["meta"]
    assert (begin["more"], begin["gap"]) == (False, False)
    mine: dict[str, Any] = {}

    async def follow(cursor: str, limit: int) -> str:
        while True:
            answer = await ada.ask("GET", f"{INBOX}/changes", query={"since": cursor, "limit": limit})
            for item in answer["data"]:
                if item["is_archived"]:
                    assert item.keys() == {"id", "seq", "changed", "event_id", "is_archived"}
                    mine.pop(item["id"], None)
                else:
                    mine[item["id"]] = item
            cursor = answer["meta"]["cursor"]
            if not answer["meta"]["more"]:
                return cursor

    await ada.sent(12)
    cursor = await follow(begin["cursor"], 5)
    ids = [item["id"] for item in await ada.items()]
    assert list(mine) == ids[::-1]
    for id in ids[:4]:
        await ada.ask("PUT", f"{INBOX}/{id}/read")
    await ada.ask("PUT", f"{INBOX}/{ids[1]}/unread")
    await ada.ask("DELETE", f"{INBOX}/{ids[2]}")
    cursor = await follow(cursor, 1)
    await ada.ask("PUT", f"{INBOX}/mark-all-read", json={"up_to": 6})
    await ada.sent(2)
    await ada.ask("DELETE", f"{INBOX}/clear-all", query={"up_to": 3})
    cursor = await follow(cursor, 3)
    listing = await ada.listing()
    assert sorted(mine.values(), key=lambda item: -item["seq"]) == listing["data"]
    assert cursor == listing["meta"]["cursor"]
    assert {item["is_read"] for item in mine.values()} == {True, False}


async def test_the_cursor_of_a_list_is_a_start_for_changes(ada: User) -> None:
    await ada.sent(2)
    cursor = (await ada.listing(limit=1))["meta"]["cursor"]
    assert (await ada.ask("GET", f"{INBOX}/changes", query={"since": cursor}))["data"] == []
    await ada.sent(1)
    answer = await ada.ask("GET", f"{INBOX}/changes", query={"since": cursor})
    assert [item["seq"] for item in answer["data"]] == [3]
    assert answer["meta"]["unread_count"] == 3


async def test_changes_keep_cursors_of_other_streams_and_report_gaps(ada: User, bob: User) -> None:
    await ada.sent(1)
    bobs = (await bob.listing())["meta"]["cursor"]
    cursor = (await ada.listing())["meta"]["cursor"]
    answer = await ada.ask("GET", f"{INBOX}/changes", query={"since": f"{cursor},market:7"})
    assert answer["meta"]["cursor"] == f"{cursor},market:7"
    for since in ("rubbish", "", bobs, cursor.replace("inbox:1", "inbox:99")):
        meta = (await ada.ask("GET", f"{INBOX}/changes", query={"since": since}))["meta"]
        assert (meta["gap"], meta["cursor"]) == (True, cursor)


# --- preferences -------------------------------------------------------------------------------------------------

EVERYTHING = {
    "email_notifications": True,
    "push_notifications": True,
    "websocket_notifications": True,
    "muted_types": [],
    "updated_at": None,
}


async def test_preferences_are_put_and_patched(ada: User, bob: User) -> None:
    assert await ada.ask("GET", PREFERENCES) == {"user_id": ada.name, **EVERYTHING}
    put = await ada.ask("PUT", PREFERENCES, json={"email_notifications": False, "muted_types": ["a", "b", "a"]})
    assert put == {
        "user_id": ada.name,
        **EVERYTHING,
        "email_notifications": False,
        "muted_types": ["a", "b"],
        "updated_at": put["updated_at"],
    }
    assert put["updated_at"].endswith("Z")
    patched = await ada.ask("PATCH", PREFERENCES, json={"push_notifications": False})
    assert patched == {**put, "push_notifications": False, "updated_at": patched["updated_at"]}
    assert await ada.ask("PATCH", PREFERENCES, json={}) == patched
    assert await ada.ask("GET", PREFERENCES) == patched
    put = await ada.ask("PUT", PREFERENCES, json={})
    assert put == {"user_id": ada.name, **EVERYTHING, "updated_at": put["updated_at"]}
    assert (await bob.ask("GET", PREFERENCES))["updated_at"] is None


async def test_notifications_of_muted_types_are_listed_as_read(ada: User) -> None:
    await ada.ask("PATCH", PREFERENCES, json={"muted_types": ["risk_alert"]})
    await ada.sent(1)
    await ada.sent(1, "execution-events")
    newest, muted = await ada.items()
    assert (newest["is_muted"], newest["is_read"], newest["read_at"]) == (False, False, None)
    assert (muted["is_muted"], muted["is_read"], muted["read_at"]) == (True, True, muted["created_at"])
    assert await ada.unread() == 1


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"[]", 400),
        (b'{"nope": 1}', 400),
        (b'{"email_notifications": "maybe"}', 400),
        (b'{"email_notifications": null}', 400),
        (b'{"muted_types": [""]}', 400),
        (b'{"muted_types": ["' + b"x" * 256 + b'"]}', 400),
        (b'{"muted_types": [' + b",".join(b'"%d"' % n for n in range(101)) + b"]}", 400),
        (b'{"muted_types": ["a\\u0000b"]}', 422),
        (b'{"muted_types": ["\\ud800"]}', 400),
        (b"[" * 10_000, 400),
    ],
)
async def test_invalid_preferences_are_refused(ada: User, method: str, body: bytes, status: int) -> None:
    await ada.ask(method, PREFERENCES, status, content=body)
    assert await ada.ask("GET", PREFERENCES) == {"user_id": ada.name, **EVERYTHING}


# --- access ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
async def test_requests_without_a_user_are_401_and_only_open_mode_names_user_id(
    client: AsyncTestClient[Any], strict: AsyncTestClient[Any], method: str, path: str
) -> None:
    path = path.format(id=uuid4())
    body = b"{}" if method in ("PUT", "PATCH") else None
    for one, user_id in ((client, ""), (strict, ""), (strict, "?user_id=ada")):
        answer = await one.request(method, path + user_id, content=body)
        assert (answer.status_code, answer.json()["code"]) == (401, "token_missing")
        assert ("user_id" in answer.json()["detail"]) == (one is client)
        assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
async def test_a_token_gives_access_to_its_own_user_only(strict: AsyncTestClient[Any], method: str, path: str) -> None:
    path = path.format(id=uuid4())
    body = b"{}" if method in ("PUT", "PATCH") else None
    bearer = {"authorization": f"Bearer {token('ada')}"}
    theirs = await strict.request(method, f"{path}?user_id=bob", headers=bearer, content=body)
    assert (theirs.status_code, theirs.json()["code"]) == (403, "not_yours")
    own = 404 if re.search(r"/[0-9a-f-]{36}", path) else 200
    for query, headers in (
        (("?user_id=ada"), bearer),
        ("", bearer),
        (f"?jwt={token('ada')}", {}),
        (f"?token={token('ada')}", {}),
    ):
        answer = await strict.request(method, path + query, headers=headers, content=body)
        assert answer.status_code == own, answer.text
    for shown, code in (("rubbish", "token_invalid"), (token("ada", exp=1), "token_expired")):
        answer = await strict.request(method, f"{path}?jwt={shown}", content=body)
        assert (answer.status_code, answer.json()["code"]) == (401, code)


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
async def test_the_token_cookie_is_accepted_for_reading_only(
    strict: AsyncTestClient[Any], method: str, path: str
) -> None:
    """A page of another site can make a browser send the cookie."""
    headers = {"cookie": f"herald_token={token('ada')}"}
    body = b"{}" if method in ("PUT", "PATCH") else None
    answer = await strict.request(method, path.format(id=uuid4()), headers=headers, content=body)
    if method == "GET":
        assert answer.status_code in (200, 404), answer.text
    else:
        assert answer.status_code == 401, answer.text


async def test_tokens_issued_before_a_sign_out_are_refused(strict: AsyncTestClient[Any]) -> None:
    publisher = {"authorization": f"Bearer {token('service', scope='events:publish')}"}
    old = {"authorization": f"Bearer {token('leaver', iat=1_700_000_000)}"}
    assert (await strict.get(INBOX, headers=old)).status_code == 200
    event = {"source": "user_service.user.logout_account", "payload": {"user_id": "leaver"}}
    assert (await strict.post("/api/v1/events", json=event, headers=publisher)).status_code == 202
    answer = await strict.get(INBOX, headers=old)
    assert (answer.status_code, answer.json()["code"]) == (401, "signed_out")


@pytest.mark.parametrize(("method", "path"), [pair for pair in OPERATIONS if "{id}" in pair[1]])
async def test_the_notification_id_of_another_user_is_not_found(ada: User, bob: User, method: str, path: str) -> None:
    await bob.sent(1)
    (before,) = await bob.items()
    for id in (before["id"], str(uuid4()), "not-a-uuid", "1"):
        assert (await ada.ask(method, path.format(id=id), 404))["code"] == "not_found"
    assert await bob.items() == [before]


async def test_responses_contain_nothing_of_other_users(ada: User, bob: User) -> None:
    await bob.sent(3)
    assert await ada.items() == []
    assert await ada.unread() == 0
    assert (await ada.ask("PUT", f"{INBOX}/mark-all-read"))["marked"] == 0
    assert (await ada.ask("DELETE", f"{INBOX}/clear-all"))["archived"] == 0
    assert await bob.unread() == 3


# --- invalid requests --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "status", "field"),
    [
        ("page=0", 400, "page"),
        ("page=x", 400, "page"),
        ("page=1000001", 400, "page"),
        ("size=0", 400, "size"),
        ("size=101", 400, "size"),
        ("limit=0", 400, "limit"),
        ("limit=101", 400, "limit"),
        ("type=", 400, "type"),
        ("is_read=maybe", 400, "is_read"),
        ("archived=", 400, "archived"),
        ("page=1&cursor=p1.a.1", 422, "cursor"),
        ("size=1&cursor=p1.a.1", 422, "cursor"),
        ("page=1&limit=1", 422, "limit"),
        ("cursor=rubbish", 422, "cursor"),
        ("start_date=yesterday", 422, "start_date"),
        ("type=a%00", 422, "type"),
        ("start_date=", 422, "start_date"),
        ("end_date=2026-02-30", 422, "end_date"),
        ("end_date=2026-01-01T25:00:00Z", 422, "end_date"),
        (f"end_date={quote('9999-12-31T23:59:59-14:00')}", 422, "end_date"),
        (f"start_date={quote('0001-01-01T00:00:00+14:00')}", 422, "start_date"),
    ],
)
async def test_invalid_list_parameters_are_refused(ada: User, query: str, status: int, field: str) -> None:
    answer = await ada.client.get(f"{INBOX}?user_id={ada.name}&{query}")
    problem = answer.json()
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), answer.text
    assert (problem.get("field") or problem["errors"][0]["field"]) == field


async def test_a_cursor_of_another_user_is_refused(ada: User, bob: User) -> None:
    await bob.sent(3)
    cursor = (await bob.listing(limit=1))["meta"]["next_cursor"]
    assert (await ada.ask("GET", INBOX, 422, query={"cursor": cursor}))["field"] == "cursor"


@pytest.mark.parametrize("body", [b"{", b"[]", b'{"nope": 1}', b'{"up_to": "x"}', b'{"up_to": 1.5}', b"7"])
async def test_an_invalid_up_to_is_refused(ada: User, body: bytes) -> None:
    await ada.sent(1)
    for operation in ("mark-all-read", "seen"):
        await ada.ask("PUT", f"{INBOX}/{operation}", 400, content=body)
    meta = (await ada.listing())["meta"]
    assert (meta["unread_count"], meta["unseen_count"]) == (1, 1)


async def test_clear_all_refuses_an_invalid_up_to(ada: User) -> None:
    await ada.sent(1)
    await ada.ask("DELETE", f"{INBOX}/clear-all", 400, query={"up_to": "x"})
    assert (await ada.ask("DELETE", f"{INBOX}/clear-all", query={"up_to": -1}))["archived"] == 0
    assert (await ada.ask("DELETE", f"{INBOX}/clear-all", query={"up_to": 10**30}))["archived"] == 1


async def test_changes_validates_its_limit(ada: User) -> None:
    for limit in (0, 101, "x"):
        await ada.ask("GET", f"{INBOX}/changes", 400, query={"limit": limit})


async def test_fixed_paths_take_precedence_over_ids(ada: User) -> None:
    for method, path in (("GET", "mark-all-read"), ("PUT", "unread-count"), ("GET", "clear-all"), ("POST", "changes")):
        assert (await ada.ask(method, f"{INBOX}/{path}", 405))["code"] == "method_not_allowed"


async def test_the_openapi_document_has_every_operation_with_its_parameters(client: AsyncTestClient[Any]) -> None:
    document = (await client.get("/schema/openapi.json")).json()
    for method, path in OPERATIONS:
        operation = document["paths"][path][method.lower()]
        named = {parameter["name"] for parameter in operation["parameters"]}
        assert {"user_id", "jwt", "token"} <= named
        assert all(parameter["description"] for parameter in operation["parameters"])
        expected = {"200", "400", "401", "403", "429", "500", "503"} | ({"404"} if "{id}" in path else set())
        assert expected <= operation["responses"].keys()
        assert operation["summary"]
        assert operation["description"]
