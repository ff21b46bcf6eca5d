"""An event for many users, stored in parts, on every store."""

from application.ingest.store_plans import StoragePolicy, StorePlans
from domain.planning import plan
from tests.support.core import HandClock, message
from tests.support.stores import ROUTES, Sent, Stores, check_counters, record, whole

POLICY = StoragePolicy(rows=50)
USERS = [f"user-{number:03}" for number in range(180)]


async def store_all(stores: Stores, *events: Sent, parts: int = 1_000) -> tuple[int, int]:
    """Store the first `parts` parts of the events. Returns the number of new entries and the number of duplicate
    events."""
    store_plans = StorePlans(stores.store, HandClock(), POLICY)
    pending = store_plans.parts([plan(message(*event), ROUTES) for event in events])
    while len(pending) > parts:
        pending.pop()
    recorded = [one.recorded async for one in store_plans(pending)]
    return sum(len(one.entries) for one in recorded), sum(one.duplicates for one in recorded)


def both(id: str, users: list[str]) -> Sent:
    return "both.x", {"to": users}, id


async def test_a_large_fan_out_is_stored_once_without_gaps(stores: Stores) -> None:
    events = both("a", USERS), both("b", USERS[:10]), both("c", USERS[5:])
    assert await store_all(stores, *events) == (180 + 10 + 175 + 3, 0)
    assert await store_all(stores, *events) == (0, 3)
    assert await whole(stores.store, "feed:news") == [(1, "a"), (2, "b"), (3, "c")]
    for number in (0, 7, 49, 50, 179):
        expected = ["a", *(["b"] if number < 10 else []), *(["c"] if number >= 5 else [])]
        assert await whole(stores.store, f"inbox:{USERS[number]}") == list(enumerate(expected, 1))
        await check_counters(stores, USERS[number])


async def test_repeating_the_event_after_a_crash_between_parts_completes_the_fan_out(stores: Stores) -> None:
    await record(stores.store, both("before", USERS[:3]))
    assert await store_all(stores, both("a", USERS), parts=2) == (101, 0)
    assert await whole(stores.store, f"inbox:{USERS[179]}") == []
    assert await store_all(stores, both("a", USERS)) == (80, 0)
    assert await store_all(stores, both("a", USERS)) == (0, 1)
    for number, user in enumerate(USERS):
        expected = [(1, "before"), (2, "a")] if number < 3 else [(1, "a")]
        assert await whole(stores.store, f"inbox:{user}") == expected
    await check_counters(stores, USERS[100])


async def test_sign_outs_of_many_users_are_stored_in_parts(stores: Stores) -> None:
    await store_all(stores, ("bye", {"user_id": USERS}, "a"))
    for user in (USERS[0], USERS[60], USERS[179]):
        assert await stores.store.not_before(user) is not None
