"""The Redis that tests share: one per test session, started on first use."""

import uuid
from collections.abc import Iterator

import pytest

from tests.support.redis import RealRedis, missing
from tests.support.service import real_is_required


@pytest.fixture(scope="session")
def real_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealRedis]:
    """A real Redis. If none can run, the test is skipped, or fails if HERALD_REQUIRE_REAL=1."""
    if reason := missing():
        (pytest.fail if real_is_required() else pytest.skip)(f"needs a real Redis: {reason}")
    redis = RealRedis(tmp_path_factory.mktemp("redis"))
    redis.start()
    yield redis
    redis.stop()


@pytest.fixture
def redis_prefix() -> str:
    """A key prefix that no other test uses."""
    return f"herald-{uuid.uuid4().hex}"
