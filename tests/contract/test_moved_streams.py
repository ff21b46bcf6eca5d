"""Store.moved, on every adapter: the streams that have changed since a mark."""

import random
from uuid import UUID

from application.ports.store import Moved
from domain.positions import Head
from domain.streams import StreamName
from tests.support.core import NOW
from tests.support.stores import Stores, direct, record


async def moved(stores: Stores, since: str | None, *expected: str) -> Moved:
    """Asserts that the store names these streams and no others, or knows nothing. Returns its answer."""
    answer = await stores.store.moved(since)
    assert answer.streams is None or answer.streams == {*expected}
    return answer


async def test_each_change_is_named_once(stores: Stores) -> None:
    first = await stores.store.moved(None)
    assert first.streams is None
    (entry, *_) = (await record(stores.store, direct("a", "ada", "bob"))).entries
    mark = (await moved(stores, first.mark, "inbox:ada", "inbox:bob")).mark
    mark = (await moved(stores, mark)).mark
    await record(stores.store, ("both.x", {"to": "ada"}, "b"))
    mark = (await moved(stores, mark, "inbox:ada", "feed:news")).mark
    await record(stores.store, ("bye", {"user_id": "eve"}, "c"))
    mark = (await moved(stores, mark, "inbox:eve")).mark
    assert await stores.inboxes.change("ada", entry.id, "read", NOW) is not None
    mark = (await moved(stores, mark, "inbox:ada")).mark
    await moved(stores, mark)


async def test_a_mark_can_be_used_again(stores: Stores) -> None:
    """After a failure, the hub repeats the comparison."""
    mark = (await stores.store.moved(None)).mark
    await record(stores.store, direct("a", "ada"))
    for _ in range(2):
        await moved(stores, mark, "inbox:ada")


async def test_every_stream_with_another_head_is_named(stores: Stores) -> None:
    """Random changes, with a random number of them between two calls."""
    chance = random.Random(4)
    users = ["ada", "bob", "eve"]
    streams: list[StreamName] = [*(f"inbox:{user}" for user in users), "feed:news", "feed:rest"]
    ids: dict[str, list[UUID]] = {user: [] for user in users}

    async def heads() -> dict[StreamName, Head]:
        return await stores.store.heads(streams)

    before, mark = await heads(), (await stores.store.moved(None)).mark
    for number in range(40):
        user = chance.choice(users)
        match chance.randrange(5):
            case 0 | 1:
                recorded = await record(stores.store, direct(f"e{number}", user))
                ids[user] += [entry.id for entry in recorded.entries]
            case 2:
                await record(stores.store, ("rest", {}, f"r{number}"))
            case 3 if ids[user]:
                await stores.inboxes.change(user, chance.choice(ids[user]), "read", NOW)
            case _:
                await record(stores.store, ("bye", {"user_id": user}, f"s{number}"))
        if chance.random() < 0.5:
            after, answer = await heads(), await stores.store.moved(mark)
            changed = {name for name in streams if before[name] != after[name]}
            assert answer.streams is None or changed <= answer.streams
            before, mark = after, answer.mark
