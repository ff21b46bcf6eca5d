"""A key server with a certificate of a private authority, and readiness before the first key was fetched."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from litestar.testing import AsyncTestClient
from structlog.testing import capture_logs

from adapters.jwt.settings import JwtSettings
from adapters.jwt.verifier import JwtVerifier
from domain.caller_errors import Unavailable
from entrypoints.app import create_app
from entrypoints.settings.loader import SettingsInvalid, load
from tests.support.certificates import Authority
from tests.support.key_server import JwksServer, jwk, key_set
from tests.support.reading import until
from tests.support.tokens import RSA_KEY, signed_by

NOW = int(time.time())


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def keys(authority: Authority) -> Iterator[JwksServer]:
    server = JwksServer(authority.server())
    server.body = key_set(jwk(RSA_KEY, kid="one"))
    server.start()
    yield server
    server.stop()


async def test_a_private_certificate_authority_is_trusted(keys: JwksServer, authority: Authority) -> None:
    verifier = JwtVerifier(JwtSettings(jwks_url=keys.url, cafile=authority.cafile))
    assert (await verifier.verify(signed_by(iat=NOW, exp=NOW + 86_400))).user == "ada"
    await verifier.close()


async def test_an_untrusted_certificate_is_reported_with_the_reason(keys: JwksServer) -> None:
    verifier = JwtVerifier(JwtSettings(jwks_url=keys.url))
    with capture_logs() as logs, pytest.raises(Unavailable):
        await verifier.verify(signed_by(iat=NOW, exp=NOW + 86_400))
    assert "certificate verify failed" in logs[0]["error"]
    assert "certificate verify failed" in (verifier.fault or "")
    await verifier.close()


async def test_the_node_is_not_ready_until_keys_were_fetched_once(keys: JwksServer, authority: Authority) -> None:
    keys.status = 500
    environ = {"HERALD_JWT_JWKS_URL": keys.url, "HERALD_JWT_CAFILE": authority.cafile, "HERALD_BROKER": "memory"}
    app = create_app(load({**environ, "DATABASE_URL": "memory:"}, "serve", {}))
    async with AsyncTestClient(app) as client:

        async def ready() -> Any:
            answer = await client.get("/health/ready")
            return answer.status_code, answer.json()["checks"]["tokens"]

        await ready()
        await until(lambda: keys.requests > 0)
        status, check = await ready()
        assert (status, check["ok"]) == (503, False)
        keys.status = 200
        for _ in range(600):
            if (await ready())[0] == 200:
                break
            await asyncio.sleep(0.05)
        assert await ready() == (200, {"ok": True, "detail": "", "vital": True})
        # Keys are kept after the first fetch: a server that becomes unavailable later does not make a node unready.
        keys.stop()
        assert (await ready())[0] == 200


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/jwks", ""])
def test_a_certificate_authority_without_an_https_url_is_refused(authority: Authority, url: str) -> None:
    with pytest.raises(SettingsInvalid, match="HERALD_JWT_CAFILE is set, and HERALD_JWT_JWKS_URL does not begin with"):
        load({"HERALD_JWT_CAFILE": authority.cafile, "HERALD_JWT_JWKS_URL": url, "HERALD_AUTH": "open"}, "serve", {})


def test_a_file_without_certificates_is_refused() -> None:
    with pytest.raises(SettingsInvalid, match="HERALD_JWT_CAFILE names a file that holds no certificates"):
        load({"HERALD_JWT_CAFILE": "/etc/hostname", "HERALD_JWT_JWKS_URL": "https://x/"}, "serve", {})
