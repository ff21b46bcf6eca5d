"""Tokens with invented key ids must not prevent the acceptance of tokens signed with a new key.

A real Herald and a real key server.
"""

import time
from collections.abc import Iterator
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.support.clients import closed, connect, frame, objects
from tests.support.key_server import JwksServer, jwk, key_set
from tests.support.server import Server

FIRST, FRESH, UNKNOWN = (rsa.generate_private_key(65537, 2048) for _ in range(3))
PATH = "/ws/v2/notification-service/notifications/users/ada"


@pytest.fixture
def keys() -> Iterator[JwksServer]:
    server = JwksServer()
    server.body = key_set(jwk(FIRST, kid="first"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def server(keys: JwksServer) -> Iterator[Server]:
    one = Server({"HERALD_JWT_JWKS_URL": keys.url, "HERALD_BROKER": "memory"}, ("serve",)).start(ready=True)
    yield one
    one.kill()
    print(one.log[-5_000:])


def signed(key: rsa.RSAPrivateKey, kid: str, **claims: Any) -> str:
    now = int(time.time())
    return jwt.encode({"sub": "ada", "iat": now, "exp": now + 600, **claims}, key, "RS256", headers={"kid": kid})


def answer(server: Server, token: str) -> tuple[int, str | None]:
    """Return status and problem code of a REST request with this token."""
    got = httpx.get(f"{server.url}/api/v2/notifications", headers={"authorization": f"Bearer {token}"}, timeout=30)
    return got.status_code, got.json().get("code")


async def close_code(server: Server, token: str, way: str) -> int:
    """Return the close code of a socket with this token."""
    if way == "query":
        async with connect(f"{server.ws_url}{PATH}?jwt={token}") as socket:
            return await closed(socket)
    async with connect(server.ws_url + PATH, subprotocols=["herald.v1"]) as socket:
        await socket.send(f'{{"auth": "{token}"}}')
        return await closed(socket)


async def test_an_invented_key_id_does_not_block_a_new_key(keys: JwksServer, server: Server) -> None:
    assert answer(server, signed(FIRST, "first")) == (200, None)
    assert answer(server, signed(UNKNOWN, "invented")) == (401, "token_invalid")
    fetches = keys.requests
    keys.body = key_set(jwk(FIRST, kid="first"), jwk(FRESH, kid="fresh"))
    # The keys may not be fetched again yet, so it is unknown whether the issuer has this key: the client may retry.
    fresh = signed(FRESH, "fresh")
    for token in (fresh, signed(UNKNOWN, "invented-too")):
        assert answer(server, token) == (503, "unavailable")
        assert await close_code(server, token, "query") == 1013
        assert await close_code(server, token, "first frame") == 1013
    async with connect(f"{server.ws_url}{PATH}?jwt={signed(FIRST, 'first')}", subprotocols=["herald.v1"]) as socket:
        await socket.send('{"resume": {}}')
        assert (await frame(socket))["kind"] == "hello"
        await socket.send(f'{{"auth": "{fresh}"}}')
        (error,) = await objects(socket, 1)
        assert (error["kind"], error["code"]) == ("error", "unavailable")
    assert keys.requests == fetches
    # Known keys are still accepted and refused.
    assert answer(server, signed(FIRST, "first")) == (200, None)
    assert answer(server, signed(UNKNOWN, "first")) == (401, "token_invalid")
    assert await close_code(server, signed(UNKNOWN, "first"), "query") == 4504


async def test_both_keys_with_the_same_kid_are_tried(keys: JwksServer, server: Server) -> None:
    keys.body = key_set(jwk(FIRST, kid="one"), jwk(FRESH, kid="one"))
    assert answer(server, signed(FIRST, "one")) == (200, None)
    assert answer(server, signed(FRESH, "one")) == (200, None)
    assert answer(server, signed(UNKNOWN, "one")) == (401, "token_invalid")
