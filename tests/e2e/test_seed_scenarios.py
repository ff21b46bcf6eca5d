"""The eight test scenarios of the groups seed and its lifecycle of a notification, on Kafka and PostgreSQL, with
tokens. The inbox of each member lists what was pushed live, and no other user receives it."""

import asyncio
import json
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final

import httpx
import pytest
from websockets.asyncio.client import ClientConnection

from tests.e2e.conftest import StartServer
from tests.support.clients import closed, connect, frame, objects, silent, token
from tests.support.kafka import RealKafka
from tests.support.postgres import Postgres
from tests.support.server import SECRET, Server

ADDED: Final = "user_service.group.add_users"
REMOVED: Final = "user_service.group.remove_users"
LEFT: Final = "user_service.group.leave_groups"
HEAD_CHEF: Final = "user_service.group.update_headchef_role"
LOGGED_OUT: Final = "user_service.user.logout_account"

SOCKETS: Final = "/ws/v2/notification-service/notifications/users"
INBOX: Final = "/api/v2/notifications"


class Member:
    """A user of the seed, with the token in the header or, as browsers must, in the URL."""

    def __init__(self, server: Server, http: httpx.AsyncClient, name: str, by: str) -> None:
        self.id = str(uuid.uuid4())
        self.name = f"user_{name}_username"
        self.mail = f"user_{name}_email@example.com"
        self._server = server
        self._http = http
        self._by = by
        self.sign_in()

    def sign_in(self, **claims: Any) -> None:
        self.token = token(self.id, **claims)

    def connect(self, *, cursor: str = "", **options: Any) -> Any:
        address = f"{self._server.ws_url}{SOCKETS}/{self.id}?cursor={cursor}"
        if self._by == "query":
            return connect(f"{address}&jwt={self.token}", **options)
        return connect(address, additional_headers={"Authorization": f"Bearer {self.token}"}, **options)

    async def ask(self, path: str = "", method: str = "GET", **query: Any) -> httpx.Response:
        headers = {}
        if self._by == "query":
            query["jwt"] = self.token
        else:
            headers["Authorization"] = f"Bearer {self.token}"
        return await self._http.request(method, INBOX + path, params=query, headers=headers)

    async def told(self, path: str = "", method: str = "GET", **query: Any) -> Any:
        answer = await self.ask(path, method, **query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def check_inbox(self, *messages: Any) -> list[Any]:
        """Assert that the inbox lists exactly these messages, all unread, and that no other user has them. Returns its
        items, oldest first."""
        listing = await self.told()
        items: list[Any] = listing["data"][::-1]
        shown = [(item["seq"], {"event_type": item["event_type"], "data": item["data"]}) for item in items]
        assert shown == list(enumerate(messages, 1))
        assert [item["notification_type"] for item in items] == [message["event_type"] for message in messages]
        assert {item["user_id"] for item in items} <= {self.id}
        assert not any(item["is_read"] for item in items)
        assert all(item["title"] and item["message"] for item in items)
        assert listing["meta"]["unread_count"] == len(messages)
        counts = {"unread_count": len(messages), "unseen_count": len(messages)}
        assert await self.told("/unread-count") == counts
        return items


class Group:
    """The seed's group and its members, and the events that user-service publishes about it."""

    def __init__(self, kafka: RealKafka, *members: Member) -> None:
        self.a, self.b, self.c, self.stranger = members
        self._kafka = kafka
        self._about = {"group_id": str(uuid.uuid4()), "group_name": "Family_Group"}

    def _by_a(self, minute: int, **more: str) -> dict[str, str]:
        requester = {"requester_id": self.a.id, "requester_username": self.a.name}
        return requester | self._about | more | {"timestamp": f"2024-05-21T10:{minute:02}:00Z"}

    def added(self, member: Member) -> Any:
        data = self._by_a(0, user_to_add_id=member.id, user_to_add_identifier=member.mail)
        return {"event_type": "group_user_added", "data": data}

    def removed(self, member: Member) -> Any:
        data = self._by_a(5, user_to_remove_id=member.id, user_to_remove_identifier=member.mail)
        return {"event_type": "group_user_removed", "data": data}

    def left(self, member: Member) -> Any:
        data = {"user_id": member.id, "user_identifier": member.mail, **self._about}
        return {"event_type": "group_user_left", "data": data | {"timestamp": "2024-05-21T10:10:00Z"}}

    def head_chef(self, old: Member, new: Member) -> Any:
        chefs = {
            "old_head_chef_id": old.id,
            "old_head_chef_identifier": old.mail,
            "new_head_chef_id": new.id,
            "new_head_chef_identifier": new.mail,
        }
        return {"event_type": "group_head_chef_updated", "data": self._by_a(15, **chefs)}

    async def publish(self, topic: str, message: Any, *receivers: Member, flat: bool = False) -> None:
        """Publish an event in one of the two shapes used by real producers."""
        ids = [member.id for member in receivers]
        if flat:
            event = {"event_type": message["event_type"], **message["data"], "group_members_ids": ids}
        else:
            event = {**message, "receivers": ids}
        await self.produce(topic, event)

    async def produce(self, topic: str, event: Any) -> None:
        await asyncio.to_thread(self._kafka.produce, topic, [json.dumps(event).encode()])


@pytest.fixture(scope="module")
def env(real_kafka: RealKafka, postgres: Postgres) -> Iterator[dict[str, str]]:
    for topic in (ADDED, REMOVED, LEFT, HEAD_CHEF, LOGGED_OUT):
        real_kafka.ensure_topic(topic)
    url = postgres.create()
    yield {
        "KAFKA_BROKERS": real_kafka.servers,
        "DATABASE_URL": url,
        "HERALD_PROFILE": "groups",
        "HERALD_AUTH": "jwt",
        "HERALD_JWT_SECRET": SECRET,
        "HERALD_KAFKA_GROUP": f"seed-{uuid.uuid4()}",
        "HERALD_DRAIN_SECONDS": "1",
    }
    postgres.drop(url)


@pytest.fixture(scope="module")
def server(start_shared_server: StartServer, env: dict[str, str]) -> Server:
    return start_shared_server(env, ("serve",))


@pytest.fixture
async def group(server: Server, real_kafka: RealKafka) -> AsyncIterator[Group]:
    async with httpx.AsyncClient(base_url=server.url, timeout=20) as http:
        shows = {"a": "header", "b": "header", "c": "query", "stranger": "query"}
        group = Group(real_kafka, *(Member(server, http, name, by) for name, by in shows.items()))
        yield group
        await group.stranger.check_inbox()


@asynccontextmanager
async def sockets(group: Group, *members: Member) -> AsyncIterator[list[ClientConnection]]:
    """Open a socket for each member. At the end each must have received exactly its events, and the stranger none."""
    async with AsyncExitStack() as stack:
        opened = [await stack.enter_async_context(member.connect()) for member in [*members, group.stranger]]
        yield opened[:-1]
        await asyncio.gather(*(silent(socket) for socket in opened))


async def test_1_a_user_is_added_to_a_group(group: Group) -> None:
    b, message = group.b, group.added(group.b)
    async with sockets(group, b) as (client,):
        await group.publish(ADDED, message, b)
        assert await frame(client) == message
    await b.check_inbox(message)
    await group.a.check_inbox()


async def test_2_a_user_is_removed_from_a_group(group: Group) -> None:
    b, message = group.b, group.removed(group.b)
    async with sockets(group, b) as (client,):
        await group.publish(REMOVED, message, b, flat=True)
        assert await frame(client) == message
    await b.check_inbox(message)
    await group.a.check_inbox()


@pytest.mark.parametrize("flat", [True, False])
async def test_3_a_user_leaves_a_group(group: Group, flat: bool) -> None:
    a, b, c = group.a, group.b, group.c
    message = group.left(b)
    async with sockets(group, a, c) as clients:
        await group.publish(LEFT, message, a, c, flat=flat)
        assert [await frame(client) for client in clients] == [message, message]
    # The event names the user who leaves, so that user is notified too.
    for member in (a, b, c):
        await member.check_inbox(message)


async def test_4_the_head_chef_changes(group: Group) -> None:
    a, b, c = group.a, group.b, group.c
    message = group.head_chef(a, b)
    async with sockets(group, a, b, c) as clients:
        await group.publish(HEAD_CHEF, message, a, b, c)
        assert [await frame(client) for client in clients] == [message] * 3
    items = [(await member.check_inbox(message))[0] for member in (a, b, c)]
    # One event in three independent inboxes.
    assert len({item["event_id"] for item in items}) == 1
    assert len({item["id"] for item in items}) == 3
    for one, other in ((a, items[1]), (b, items[2]), (group.stranger, items[0])):
        assert (await one.ask(f"/{other['id']}")).status_code == 404
        assert (await one.ask(f"/{other['id']}/read", "PUT")).status_code == 404
        assert (await one.ask(user_id=other["user_id"])).status_code == 403
    await c.check_inbox(message)


async def test_5_a_user_logs_out(group: Group) -> None:
    a, b = group.a, group.b
    first, second = group.head_chef(a, b), group.left(a)
    async with b.connect() as other:
        async with a.connect() as client:
            await group.publish(HEAD_CHEF, first, a, b)
            assert await frame(client) == first
            await group.produce(LOGGED_OUT, {"user_id": a.id})
            assert await closed(client) == 4502
        await group.publish(LEFT, second, a, b)
        assert [await frame(other), await frame(other)] == [first, second]
        await silent(other)
    # The token used before is refused now, and what arrived meanwhile is available after the next sign-in.
    assert (await a.ask()).status_code == 401
    # A token counts as issued before a sign-out of the same second.
    next_second = int(time.time()) + 1
    a.sign_in(iat=next_second)
    await asyncio.sleep(next_second - time.time())
    await a.check_inbox(first, second)
    await b.check_inbox(first, second)


async def test_6_several_users_are_added_together(group: Group) -> None:
    b, c = group.b, group.c
    async with sockets(group, b, c) as clients:
        await asyncio.gather(*(group.publish(ADDED, group.added(member), member) for member in (b, c)))
        assert [await frame(client) for client in clients] == [group.added(b), group.added(c)]
    await b.check_inbox(group.added(b))
    await c.check_inbox(group.added(c))
    await group.a.check_inbox()


async def test_7_the_last_member_leaves(group: Group) -> None:
    a, message = group.a, group.left(group.a)
    async with sockets(group, a) as (client,):
        await group.publish(LEFT, message, flat=True)
        assert await frame(client) == message
    await a.check_inbox(message)
    await group.b.check_inbox()


async def test_8_several_events_are_published_concurrently(group: Group) -> None:
    a, b, c = group.a, group.b, group.c
    added, removed, chef = group.added(c), group.removed(b), group.head_chef(a, b)
    async with sockets(group, a, b, c) as clients:
        await asyncio.gather(
            group.publish(ADDED, added, a, c),
            group.publish(REMOVED, removed, a, b, flat=True),
            group.publish(HEAD_CHEF, chef, a, b),
        )
        wanted = {a: [added, removed, chef], b: [removed, chef], c: [added]}
        seen = {
            member: [await frame(client) for _ in messages]
            for (member, messages), client in zip(wanted.items(), clients, strict=True)
        }
    for member, messages in wanted.items():
        # There is no order among topics, but the pushed order is the stored order.
        assert sorted(map(str, seen[member])) == sorted(map(str, messages))
        await member.check_inbox(*seen[member])


async def test_the_lifecycle_of_a_notification(server: Server, group: Group) -> None:
    """Stored, pushed, read on one device and therefore on the other, and kept across a restart; a client that was
    disconnected misses nothing."""
    a, b = group.a, group.b
    messages = [group.added(b), group.head_chef(a, b), group.left(a)]
    async with b.connect() as plain, b.connect(subprotocols=["herald.v1"]) as device:
        await device.send('{"resume": {}}')
        assert (await frame(device))["unread"] == 0
        for topic, message in zip((ADDED, HEAD_CHEF, LEFT), messages, strict=True):
            await group.publish(topic, message, b)
            assert await frame(plain) == message
            (entry,) = await objects(device, 1)
            assert (entry["type"], entry["data"]) == (message["event_type"], message["data"])
        items = await b.check_inbox(*messages)

        read = await b.told(f"/{items[0]['id']}/read", "PUT")
        assert (read["is_read"], read["read_at"] is not None) == (True, True)
        (mark,) = await objects(device, 1)
        assert (mark["kind"], mark["id"], mark["seq"], mark["unread"]) == ("read", items[0]["id"], 1, 2)
        await silent(plain)
        before = await b.told()
        assert before["meta"]["unread_count"] == 2

    assert await asyncio.to_thread(server.stop) == 0
    missed = [group.added(group.c), group.added(a)]
    # In one topic, which preserves their order.
    for message in missed:
        await group.publish(ADDED, message, b)
    await asyncio.to_thread(server.start, True)
    await until_unread(b, 4)

    # With the cursor of the list on the other device, and without a cursor.
    cursor = before["meta"]["cursor"]
    async with b.connect(cursor=cursor, subprotocols=["herald.v1"]) as device:
        hello, *entries = await objects(device, 3)
        await silent(device)
        assert (hello["resumed"], hello["gap"], hello["unread"]) == (True, [], 4)
        assert [(entry["kind"], entry["data"]) for entry in entries] == [
            ("notification", message["data"]) for message in missed
        ]
    changes = await b.told("/changes", since=cursor)
    assert [item["data"] for item in changes["data"]] == [message["data"] for message in missed]
    after = await b.told()
    assert after["data"][2:] == before["data"]
    assert [item["data"] for item in after["data"][1::-1]] == [message["data"] for message in missed]
    assert after["meta"]["unread_count"] == 4


async def until_unread(member: Member, count: int) -> None:
    async with asyncio.timeout(20):
        while (await member.told("/unread-count"))["unread_count"] != count:
            await asyncio.sleep(0.05)
