"""The hub under random faults: every session receives the stored entries of its streams, once and in order."""

import json
import random
from typing import Any

import pytest
from msgspec.structs import replace

from application.hub.policy import BufferPolicy
from tests.support.backplanes import RoughBackplane
from tests.support.core import (
    IMPATIENT,
    PLAIN_ALL,
    STREAM,
    FaultyStore,
    Node,
    Reader,
    events_in,
    message,
    settle,
)


@pytest.fixture
async def node() -> Node:
    return await Node().start()


class Client:
    """One client through all its connections: it keeps its cursor and resumes from it."""

    def __init__(self, node: Node, chance: random.Random, user: str | None, kind: str, feeds: Any) -> None:
        self.node, self.chance, self.user, self.kind, self.feeds = node, chance, user, kind, feeds
        self.reader: Reader | None = None
        self.cursor: str | None = None
        self.seen: list[tuple[str, int, str]] = []
        self.plain_seen: list[list[str]] = []
        self.first: dict[str, int] = {}

    async def connect(self) -> None:
        session = await self.node.open(
            self.user,
            endpoint=STREAM if self.kind == "sse" else PLAIN_ALL,
            protocol=self.kind == "v1" or (self.kind == "sse" and self.user is None),
            cursor=self.cursor,
            feeds=self.feeds,
        )
        assert not session.resume_point.gaps
        # A client that disconnected before the first frame has no cursor and starts again.
        if self.cursor is None:
            self.first = session.positions.by_name
        if self.kind == "plain":
            self.plain_seen.append([])
        self.reader = Reader(self.node, session)

    async def leave(self) -> None:
        assert self.reader is not None
        await self.reader.leave()
        self.gather()
        if self.kind != "sse":
            self.cursor = self.reader.session.cursor
        self.reader = None

    def gather(self) -> None:
        assert self.reader is not None
        if self.kind == "sse":
            for event in events_in("".join(self.reader.frames)):
                self.cursor = event["id"]
                self._see(json.loads(event["data"]))
        else:
            for one in self.reader.objects:
                self._see(one)

    def _see(self, one: dict[str, Any]) -> None:
        assert one.get("kind") not in ("gap", "error")
        data = one.get("data")
        if isinstance(data, dict):
            self.seen.append((data["to"], data["number"], data["text"]))


@pytest.mark.parametrize("seed", range(12))
async def test_clients_of_all_kinds_on_a_faulty_backplane(seed: int) -> None:
    """Clients connect, read, pause, disconnect and resume, while the backplane loses, repeats, reorders and delays
    messages."""
    buffers = BufferPolicy(max_entries=8, max_page_entries=5, max_chunk_entries=3)
    policy = replace(IMPATIENT, buffers=buffers, stalled_after_sweeps=8)
    chance = random.Random(seed)
    node = await Node(FaultyStore(), RoughBackplane(chance), policy=policy).start()
    users = ["ada", "bob", None]
    clients = [
        Client(node, chance, user, kind, feeds)
        for user in users
        for kind in ("plain", "v1", "sse")
        for feeds in (None, ("news",))
    ]
    written: dict[str, list[str]] = {"ada": [], "bob": [], "news": [], "staff": []}
    number = 0

    async def write() -> None:
        nonlocal number
        batch = []
        for _ in range(chance.randrange(1, 6)):
            number += 1
            to = chance.choice(list(written))
            written[to].append(f"{to}-{number}")
            source = to if to in ("news", "staff") else "direct"
            payload = {"to": to, "number": len(written[to]), "text": f"{to}-{number}"}
            batch.append(message(source, payload, f"e-{number}"))
        await node.send(*batch)

    for _ in range(150):
        what = chance.random()
        client = chance.choice(clients)
        if client.reader is not None and client.reader.session.close_reason is not None:
            await client.leave()
        if what < 0.35:
            await write()
        elif what < 0.6:
            if client.reader is None:
                await client.connect()
            elif chance.random() < 0.5:
                await client.leave()
        elif what < 0.75 and client.reader is not None:
            client.reader.going.clear()
        elif what < 0.85 and client.reader is not None:
            client.reader.going.set()
        elif what < 0.95:
            await node.sweep()
        else:
            node.store.away = chance.randrange(3)
            await settle(3)
            node.store.away = 0
        await settle(chance.randrange(6))

    for client in clients:
        if client.reader is not None and client.reader.session.close_reason is not None:
            await client.leave()
        if client.reader is None:
            await client.connect()
        assert client.reader is not None
        client.reader.going.set()
    await settle()
    for _ in range(14):
        await node.sweep()
        await settle(60)
    for client in clients:
        assert client.reader is not None
        assert not client.reader.ended
        await client.leave()

    for client in clients:
        streams = ["news"] if client.feeds else ["news", "staff"] if client.user else ["news"]
        streams += [client.user] if client.user else []
        assert {to for to, _, _ in client.seen} <= set(streams)
        for stream in streams:
            public = "inbox" if stream == client.user else stream
            numbers = [count for to, count, _ in client.seen if to == stream]
            expected = list(range(client.first[public] + 1, len(written[stream]) + 1))
            if client.kind == "plain":
                # A frame interrupted by a disconnect is sent again from the position of the session.
                assert sorted(set(numbers)) == expected
            else:
                assert numbers == expected
    assert not node.hub.sessions
