"""The proxy of deploy/nginx.conf, for tests that put one in front of their own nodes."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.nginx import Nginx, missing
from tests.support.service import real_is_required

StartNginx = Callable[..., Nginx]


@contextmanager
def _proxies(folder: Path) -> Iterator[StartNginx]:
    if reason := missing():
        (pytest.fail if real_is_required() else pytest.skip)(f"needs a real nginx: {reason}")
    started: list[Nginx] = []

    def start(nodes: list[int], but: dict[str, str] | None = None, sockets: list[int] | None = None) -> Nginx:
        directory = folder / f"nginx-{len(started)}"
        directory.mkdir()
        nginx = Nginx(directory, nodes, but, sockets)
        started.append(nginx)
        nginx.start()
        return nginx

    yield start
    for nginx in started:
        nginx.stop()
        print(nginx.words, nginx.log[-20_000:])


@pytest.fixture
def start_nginx(tmp_path: Path) -> Iterator[StartNginx]:
    """Starts a proxy: `start_nginx(ports of the nodes, but)`. If no nginx can run, the test is skipped, or fails if
    HERALD_REQUIRE_REAL=1."""
    with _proxies(tmp_path) as start:
        yield start


@pytest.fixture(scope="module")
def start_shared_nginx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartNginx]:
    """Starts a proxy as `start_nginx` does, for all tests of a module."""
    with _proxies(tmp_path_factory.mktemp("nginx")) as start:
        yield start
