"""A real Kafka for the benchmarks, on the clients' core."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scripts.kafka import missing
from tests.support.kafka import RealKafka

__all__ = ["kafka", "missing"]


@contextmanager
def kafka() -> Iterator[RealKafka]:
    with tempfile.TemporaryDirectory() as directory:
        broker = RealKafka(Path(directory))
        try:
            broker.start()
            yield broker
        finally:
            broker.stop()
