"""Compares the events published to Kafka with the contents of every inbox, and with the entries that every client
received."""

import asyncio
import time
from contextlib import suppress
from typing import Any, Final

import httpx

from tests.support.load import FEED, Load, same
from tests.support.postgres import Postgres
from tests.support.server import Server
from tests.support.watchers import Watcher

_NOTIFICATIONS: Final = "/api/v2/notifications"


async def everyone_saw(load: Load, *watchers: Watcher, seconds: float = 30) -> None:
    """Assert that every watcher received exactly the events addressed to it, once and in order."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while not all(watcher.has_everything(load) for watcher in watchers):
                await asyncio.sleep(0.02)
    await asyncio.sleep(0.5)  # duplicates would arrive meanwhile
    for watcher in watchers:
        watcher.check(load)


async def everything_kept(server: Server, load: Load, postgres: Postgres, url: str, seconds: float = 40) -> None:
    """Assert that every API returns exactly the events addressed to each inbox, once and in order, and that the stored
    counters equal the numbers of rows."""
    async with httpx.AsyncClient(base_url=server.url, timeout=20) as client:
        await inboxes_complete(client, load, seconds)
        for user in load.users:
            numbers = load.expected[user]
            entries = list(enumerate(numbers, 1))
            same([_place(item) for item in await listed(client, user)], entries[::-1], f"the list of {user}")
            same([_place(item) for item in await changed(client, user)], entries, f"the changes of {user}")
            paged = (await client.get(_NOTIFICATIONS, params={"user_id": user, "page": 1, "size": 1})).json()["meta"]
            assert (paged["total"], paged["unread_count"]) == (len(numbers), len(numbers)), user
    kept = await asyncio.to_thread(postgres.psql, _RECOUNT, url)
    for row in kept.splitlines():
        name, *counts = row.split("|")
        expected = load.published if name == FEED else len(load.expected[name])
        assert counts == [str(expected)] * len(counts), row
    assert len(kept.splitlines()) == len(load.users) + 1


# Counters are read first, then the rows they count. All five are equal, since nothing was marked or pruned.
_RECOUNT: Final = """
SELECT i.user_id, i.last_seq, i.unread_count, i.entry_count, count(n.*), max(n.seq)
FROM inboxes i JOIN notifications n USING (user_id) GROUP BY i.user_id
UNION ALL
SELECT f.name, f.last_seq, f.entry_count, f.entry_count, count(b.*), max(b.seq)
FROM feeds f JOIN broadcasts b ON b.feed = f.name GROUP BY f.name
"""


async def inboxes_complete(client: httpx.AsyncClient, load: Load, seconds: float) -> None:
    """Wait until every inbox counts all events addressed to its user."""
    deadline = time.monotonic() + seconds
    for user in load.users:
        while True:
            answer = await client.get(_NOTIFICATIONS + "/unread-count", params={"user_id": user})
            if answer.status_code == 200 and answer.json()["unread_count"] >= len(load.expected[user]):
                break
            assert time.monotonic() < deadline, f"{user} is to have {len(load.expected[user])}: {answer.text}"
            await asyncio.sleep(0.02)


async def listed(client: httpx.AsyncClient, user: str) -> list[Any]:
    """Return the whole inbox, newest first."""
    items: list[Any] = []
    place: dict[str, str] = {}
    while True:
        answer = await client.get(_NOTIFICATIONS, params={"user_id": user, "limit": 100, **place})
        assert answer.status_code == 200, answer.text
        items += answer.json()["data"]
        if (cursor := answer.json()["meta"]["next_cursor"]) is None:
            return items
        place = {"cursor": cursor}


async def changed(client: httpx.AsyncClient, user: str) -> list[Any]:
    """Return all notifications that the operation `changes` returns for a cursor at position 0."""
    now = (await client.get(_NOTIFICATIONS, params={"user_id": user, "limit": 1})).json()["meta"]["cursor"]
    since = f"{now.rpartition(':')[0]}:0"
    items: list[Any] = []
    while True:
        answer = await client.get(_NOTIFICATIONS + "/changes", params={"user_id": user, "limit": 100, "since": since})
        assert answer.status_code == 200, answer.text
        assert answer.json()["meta"]["gap"] is False, answer.text
        items += answer.json()["data"]
        since = answer.json()["meta"]["cursor"]
        if not answer.json()["meta"]["more"]:
            return items


def _place(item: Any) -> tuple[int, int]:
    return item["seq"], item["data"]["n"]
