"""The Redis that tests share: one a session, started by the first test that asks."""

import uuid
from collections.abc import Iterator

import pytest

from tests.support.redis import RealRedis, missing
from tests.support.service import real_is_required


@pytest.fixture(scope="session")
def real_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealRedis]:
    """Skips what asks for it where no Redis can run; fails it where HERALD_REQUIRE_REAL=1 says that one must."""
    if reason := missing():
        (pytest.fail if real_is_required() else pytest.skip)(f"needs a real Redis: {reason}")
    redis = RealRedis(tmp_path_factory.mktemp("redis"))
    redis.start()
    yield redis
    redis.stop()


@pytest.fixture
def redis_prefix() -> str:
    """A prefix of names that no other test uses."""
    return f"herald-{uuid.uuid4().hex}"
