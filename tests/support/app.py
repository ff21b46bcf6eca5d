"""The application in the same process as the test."""

from typing import Any, Final

from dishka import Provider
from litestar.testing import AsyncTestClient

from domain.setting_declarations import Mode
from entrypoints.app import create_app
from entrypoints.settings.loader import load

IN_MEMORY: Final = {"DATABASE_URL": "memory:", "HERALD_BROKER": "memory"}


def in_process(
    mode: Mode = "dev", *overrides: Provider, host: str = "127.0.0.1:8000", **environ: str
) -> AsyncTestClient[Any]:
    """Return an HTTP client of an application that stores everything in memory. `host` is the Host header of its
    requests."""
    settings = load({**IN_MEMORY, **environ}, mode, {})
    return AsyncTestClient(create_app(settings, *overrides), base_url=f"http://{host}")
