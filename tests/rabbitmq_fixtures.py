"""The RabbitMQ that tests share: one a session, started by the first test that asks."""

from collections.abc import Iterator

import pytest

from tests.support.rabbitmq import RealRabbit, missing
from tests.support.service import real_is_required


@pytest.fixture(scope="session")
def real_rabbit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealRabbit]:
    """Skips what asks for it where no RabbitMQ can run; fails it where HERALD_REQUIRE_REAL=1 says that one must."""
    if reason := missing():
        (pytest.fail if real_is_required() else pytest.skip)(f"needs a real RabbitMQ: {reason}")
    rabbit = RealRabbit(tmp_path_factory.mktemp("rabbitmq"))
    try:
        rabbit.start()
        yield rabbit
    finally:
        rabbit.discard()
