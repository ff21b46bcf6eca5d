"""Every test with the `stores` fixture runs on all stores of `tests.support.stores.STORES`."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from application.ports.store import Store
from tests.support.stores import STORES, Stores


@pytest.fixture(params=STORES)
async def stores(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Stores]:
    async with STORES[request.param]((tmp_path, lambda: request.getfixturevalue("postgres"))) as opened:
        yield opened


@pytest.fixture
def store(stores: Stores) -> Store:
    return stores.store
