"""A short form of `task chaos`: fewer clients, and faults by which every service is killed and a node frozen, restarted
and killed."""

from pathlib import Path
from typing import Final

from tests.chaos.deployment import Services
from tests.chaos.trial import TrialSize, running_trial
from tests.support.kafka import RealKafka
from tests.support.postgres import Postgres
from tests.support.redis import RealRedis

SHORT: Final = TrialSize(clients=60, users=20, rate=10, lead=1.0)

# Faults that close no connection to a node, and faults after which the clients of a node connect to the other.
CLOSING_NOTHING: Final = ("freeze-in-a-transaction", "postgres-and-kafka")
MOVING_CLIENTS: Final = ("restart-both-in-turn", "node-and-redis")

# The longest time in seconds that a client may be without a session.
MAX_OFFLINE_S: Final = 15.0


async def test_nothing_is_lost_or_duplicated(
    real_kafka: RealKafka, postgres: Postgres, real_redis: RealRedis, tmp_path: Path
) -> None:
    """One deployment with the same clients for all faults; each audit is of everything since the start."""
    async with running_trial(Services(real_kafka, postgres, real_redis), SHORT, tmp_path) as trial:
        received = 0
        for fault in CLOSING_NOTHING + MOVING_CLIENTS:
            result = await trial.inject(fault)
            assert result.violations == 0, (fault, result)
            assert result.clients.received > received, (fault, result)
            assert result.offline <= MAX_OFFLINE_S, (fault, result)
            if fault in CLOSING_NOTHING:
                # Not even plain sockets, which cannot resume, missed anything.
                assert result.clients.missed == 0, (fault, result)
            received = result.clients.received
