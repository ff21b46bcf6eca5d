"""Guarantees of the memory throttle only: its size is limited, and full buckets are removed first."""

from adapters.memory.throttle import MemoryThrottle
from application.ports.throttle import Rate
from tests.support.core import HandClock

RATE = Rate(per_second=1, burst=2)


async def test_full_buckets_are_removed_first() -> None:
    clock = HandClock()
    throttle = MemoryThrottle(clock, most_keys=100)
    slow = Rate(per_second=0.001, burst=2)
    await throttle.take("oldest", slow, 2)
    for key in range(90):
        await throttle.take(f"old{key}", RATE)
    clock.turn(5)
    for key in range(30):
        await throttle.take(f"new{key}", RATE, 2)
    assert len(throttle._full_at) <= 100
    assert await throttle.take("oldest", slow) > 0
    assert await throttle.take("new0", RATE) > 0


async def test_the_number_of_keys_is_limited() -> None:
    clock = HandClock()
    throttle = MemoryThrottle(clock, most_keys=100)
    for key in range(1_000):
        await throttle.take(f"k{key}", RATE, 2)
        assert len(throttle._full_at) <= 100
    # The latest key is still limited; a removed one passes.
    assert await throttle.take("k999", RATE) > 0
    assert await throttle.take("k0", RATE) == 0.0


async def test_a_bucket_in_use_outlives_idle_ones() -> None:
    throttle = MemoryThrottle(HandClock(), most_keys=100)
    slow = Rate(per_second=0.001, burst=1_000)
    for key in range(500):
        await throttle.take("busy", slow)
        await throttle.take(f"k{key}", slow)
    assert await throttle.take("busy", slow, 501) > 0
