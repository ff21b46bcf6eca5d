"""Rate limits: who is charged, for what, and what it says to wait."""

import pytest

from adapters.memory.throttle import MemoryThrottle
from application.access.limit_rate import LimitRate, Rates
from application.ports.throttle import Rate
from domain.errors import TooManyRequests
from domain.identity import NOBODY, Identity
from tests.support.core import HandClock

ADA = Identity("ada", token_id="t-1")


class Rig:
    def __init__(self, **rates: Rate) -> None:
        self.clock = HandClock()
        self.limit_rate = LimitRate(MemoryThrottle(self.clock), Rates(**rates))


@pytest.fixture
def rig() -> Rig:
    return Rig(rest=Rate(2.0, 4), publish=Rate(10.0, 10))


async def test_a_burst_passes_and_then_it_says_how_long_to_wait(rig: Rig) -> None:
    for _ in range(4):
        await rig.limit_rate("rest", ADA)
    with pytest.raises(TooManyRequests) as refused:
        await rig.limit_rate("rest", ADA)
    assert refused.value.retry_after == pytest.approx(0.5)
    rig.clock.turn(refused.value.retry_after)
    await rig.limit_rate("rest", ADA)


async def test_a_refusal_costs_nothing(rig: Rig) -> None:
    for _ in range(4):
        await rig.limit_rate("rest", ADA)
    for _ in range(10):
        with pytest.raises(TooManyRequests):
            await rig.limit_rate("rest", ADA)
    rig.clock.turn(0.5)
    await rig.limit_rate("rest", ADA)


async def test_all_tokens_of_a_user_share_the_users_rate(rig: Rig) -> None:
    for number in range(4):
        await rig.limit_rate("rest", Identity("ada", token_id=f"t-{number}"))
    with pytest.raises(TooManyRequests):
        await rig.limit_rate("rest", Identity("ada", token_id="t-9"))
    with pytest.raises(TooManyRequests):
        await rig.limit_rate("rest", Identity("ada"))


async def test_users_do_not_pay_for_one_another_even_with_equal_token_ids(rig: Rig) -> None:
    for _ in range(4):
        await rig.limit_rate("rest", ADA)
    for _ in range(4):
        await rig.limit_rate("rest", Identity("bob", token_id=ADA.token_id))


async def test_what_is_done_is_counted_apart(rig: Rig) -> None:
    for _ in range(4):
        await rig.limit_rate("rest", ADA)
    await rig.limit_rate("publish", ADA)


async def test_a_list_costs_as_many_as_it_has_events(rig: Rig) -> None:
    await rig.limit_rate("publish", ADA, 7)
    with pytest.raises(TooManyRequests):
        await rig.limit_rate("publish", ADA, 4)
    await rig.limit_rate("publish", ADA, 3)


async def test_no_rate_is_no_limit(rig: Rig) -> None:
    for _ in range(1000):
        await rig.limit_rate("connect", ADA)


async def test_nobody_in_particular_is_not_limited(rig: Rig) -> None:
    for _ in range(1000):
        await rig.limit_rate("rest", NOBODY)
