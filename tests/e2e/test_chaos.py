"""The short form of `task chaos`: few clients, and two faults at once, so that everything is killed or frozen."""

from pathlib import Path
from typing import Final

import pytest

from tests.chaos.site import Services
from tests.chaos.trial import Result, Size, run
from tests.support.kafka import RealKafka
from tests.support.postgres import Postgres
from tests.support.redis import RealRedis

SHORT: Final = Size(clients=60, users=20, lead=2.0)

# Many clients, and little for each: it is the moving that is tried.
MOVING: Final = Size(clients=1_000, rate=4, lead=2.0)

# Seconds that a client may be without a session while both nodes are restarted in turn.
AWAY: Final = 15.0


@pytest.fixture
def services(real_kafka: RealKafka, postgres: Postgres, real_redis: RealRedis) -> Services:
    return Services(real_kafka, postgres, real_redis)


def check(result: Result) -> None:
    assert result.faults == 0, result
    assert result.events > 0
    assert result.clients.shown > result.events


@pytest.mark.parametrize("fault", ["node-and-redis", "postgres-and-kafka", "freeze-in-a-transaction"])
async def test_nothing_is_lost_and_nothing_comes_twice(fault: str, services: Services, tmp_path: Path) -> None:
    check(await run(fault, services, SHORT, tmp_path))


async def test_a_rolling_restart_moves_a_thousand_clients(services: Services, tmp_path: Path) -> None:
    result = await run("restart-both-in-turn", services, MOVING, tmp_path)
    check(result)
    assert result.away <= AWAY
