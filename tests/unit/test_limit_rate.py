"""Rate limits: who is charged, for what, and the delay that is returned."""

import pytest

from adapters.memory.throttle import MemoryThrottle
from application.access.limit_rate import LimitRate, Rates
from application.ports.throttle import Rate
from domain.caller_errors import TooManyRequests
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


async def test_after_a_burst_a_delay_is_returned(rig: Rig) -> None:
    for _ in range(4):
        await rig.limit_rate("rest", ADA)
    with pytest.raises(TooManyRequests) as refused:
        await rig.limit_rate("rest", ADA)
    assert refused.value.retry_after == pytest.approx(0.5)
    rig.clock.turn(refused.value.retry_after)
    await rig.limit_rate("rest", ADA)


async def test_a_refused_request_costs_nothing(rig: Rig) -> None:
    for _ in range(4):
        await rig.limit_rate("rest", ADA)
    for _ in range(10):
        with pytest.raises(TooManyRequests):
            await rig.limit_rate("rest", ADA)
    rig.clock.turn(0.5)
    await rig.limit_rate("rest", ADA)


async def test_all_tokens_of_a_user_share_one_rate(rig: Rig) -> None:
    for number in range(4):
        await rig.limit_rate("rest", Identity("ada", token_id=f"t-{number}"))
    with pytest.raises(TooManyRequests):
        await rig.limit_rate("rest", Identity("ada", token_id="t-9"))
    with pytest.raises(TooManyRequests):
        await rig.limit_rate("rest", Identity("ada"))


async def test_users_are_charged_separately_even_with_equal_token_ids(rig: Rig) -> None:
    for _ in range(4):
        await rig.limit_rate("rest", ADA)
    for _ in range(4):
        await rig.limit_rate("rest", Identity("bob", token_id=ADA.token_id))


async def test_each_kind_of_request_has_its_own_limit(rig: Rig) -> None:
    for _ in range(4):
        await rig.limit_rate("rest", ADA)
    await rig.limit_rate("publish", ADA)


async def test_a_list_costs_the_number_of_its_events(rig: Rig) -> None:
    await rig.limit_rate("publish", ADA, 7)
    with pytest.raises(TooManyRequests):
        await rig.limit_rate("publish", ADA, 4)
    await rig.limit_rate("publish", ADA, 3)


async def test_without_a_rate_there_is_no_limit(rig: Rig) -> None:
    for _ in range(1000):
        await rig.limit_rate("connect", ADA)


async def test_anonymous_callers_are_not_limited(rig: Rig) -> None:
    for _ in range(1000):
        await rig.limit_rate("rest", NOBODY)
