"""The RabbitMQ that tests share: one per test session, started on first use."""

from collections.abc import Iterator

import pytest

from tests.support.rabbitmq import RealRabbit, missing
from tests.support.service import real_is_required


@pytest.fixture(scope="session")
def real_rabbit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealRabbit]:
    """A real RabbitMQ. If none can run, the test is skipped, or fails if HERALD_REQUIRE_REAL=1."""
    if reason := missing():
        (pytest.fail if real_is_required() else pytest.skip)(f"needs a real RabbitMQ: {reason}")
    rabbit = RealRabbit(tmp_path_factory.mktemp("rabbitmq"))
    try:
        rabbit.start()
        yield rabbit
    finally:
        rabbit.discard()
