"""A short form of `task chaos`: fewer clients and two concurrent faults, so that every service is killed or frozen."""

from pathlib import Path
from typing import Final

import pytest

from tests.chaos.deployment import Services
from tests.chaos.trial import TrialResult, TrialSize, run_trial
from tests.support.kafka import RealKafka
from tests.support.postgres import Postgres
from tests.support.redis import RealRedis

SHORT: Final = TrialSize(clients=60, users=20, lead=2.0)

# Many clients with few events: this trial tests reconnecting.
MANY_CLIENTS: Final = TrialSize(clients=1_000, rate=4, lead=2.0)

# The longest time in seconds that a client may be without a session during a rolling restart of both nodes.
MAX_OFFLINE_S: Final = 15.0


@pytest.fixture
def services(real_kafka: RealKafka, postgres: Postgres, real_redis: RealRedis) -> Services:
    return Services(real_kafka, postgres, real_redis)


def check(result: TrialResult) -> None:
    assert result.violations == 0, result
    assert result.events > 0
    assert result.clients.received > result.events


@pytest.mark.parametrize("fault", ["node-and-redis", "postgres-and-kafka", "freeze-in-a-transaction"])
async def test_nothing_is_lost_or_duplicated(fault: str, services: Services, tmp_path: Path) -> None:
    check(await run_trial(fault, services, SHORT, tmp_path))


async def test_a_rolling_restart_moves_a_thousand_clients(services: Services, tmp_path: Path) -> None:
    result = await run_trial("restart-both-in-turn", services, MANY_CLIENTS, tmp_path)
    check(result)
    assert result.offline <= MAX_OFFLINE_S
