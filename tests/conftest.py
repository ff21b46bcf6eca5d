import gc
import os
import shutil
from collections.abc import Generator
from functools import cache
from pathlib import Path

import hypothesis
import pytest
import structlog
from httpx._transports import default

pytest_plugins = [
    "tests.kafka_fixtures",
    "tests.nginx_fixtures",
    "tests.pgbouncer_fixtures",
    "tests.postgres_fixtures",
    "tests.rabbitmq_fixtures",
    "tests.redis_fixtures",
]

# Every httpx client loads the CA certificates of this machine, which takes longer than most requests of a test.
default.create_ssl_context = cache(default.create_ssl_context)  # type: ignore[attr-defined]  # private to httpx

# Temporary folders in memory, where there is enough of it: SQLite and RabbitMQ wait for the disk at every commit.
_MEMORY = Path("/dev/shm")
if _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free > 4 * 1024**3:
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(_MEMORY))

# Plain tracebacks: those of Rich, which structlog prefers, take tens of milliseconds each.
_plain = structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
structlog.configure(processors=[*structlog.get_config()["processors"][:-1], _plain])

# Examples of each property; a test that needs more says so. No deadline: a busy machine is no failure.
hypothesis.settings.register_profile("herald", max_examples=50, deadline=None)
hypothesis.settings.load_profile("herald")


# Modules with a test that takes more than half a minute.
_LONGEST = ("test_chaos.py", "test_openapi.py")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the longest tests first, so that no process is left with one of them while the other has none."""
    items.sort(key=lambda item: item.path.name not in _LONGEST)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Drop the output of tests that pass: sending it from each process to the main one takes a tenth of its time."""
    report = yield
    if report.passed:
        report.sections = []
    return report


def pytest_collection_finish(session: pytest.Session) -> None:
    """Exclude the modules and tests, which stay until the end, from garbage collection: scanning them takes a tenth of
    the time."""
    gc.collect()
    gc.freeze()
