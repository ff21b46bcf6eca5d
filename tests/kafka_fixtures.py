"""The Kafka broker that tests share: one per test session, started on first use."""

from collections.abc import Iterator

import pytest

from scripts import kafka as installed
from tests.support.kafka import RealKafka
from tests.support.service import real_is_required


@pytest.fixture(scope="session")
def real_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealKafka]:
    """A real Kafka. If none can run, the test is skipped, or fails if HERALD_REQUIRE_REAL=1."""
    if reason := installed.missing():
        (pytest.fail if real_is_required() else pytest.skip)(f"needs a real Kafka: {reason}")
    kafka = RealKafka(tmp_path_factory.mktemp("kafka"))
    kafka.start()
    yield kafka
    kafka.kill9()
