"""The token verifier with keys from a JWKS server, which may misbehave."""

import asyncio
import gzip
import json
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from structlog.testing import capture_logs

from adapters.jwt.key_cache import MAX_CANDIDATES, Pace
from domain.caller_errors import TokenInvalid, Unavailable
from tests.support.key_server import JwksServer, jwk, key_set
from tests.support.reading import until
from tests.support.tokens import (
    CLAIMS_OF_ADA,
    EC_KEYS,
    ED448_KEY,
    ED_KEY,
    OTHER_RSA_KEY,
    RSA_KEY,
    SECRET,
    SIGNERS,
    Rig,
    b64,
    hmac_signed,
    pem,
    refused,
    short,
    signed_by,
    token,
    unavailable,
    with_secret,
)


@pytest.fixture
def server() -> Iterator[JwksServer]:
    made = JwksServer()
    made.body = key_set(jwk(RSA_KEY, kid="one"))
    made.start()
    yield made
    made.stop()


@pytest.fixture
async def rig(server: JwksServer) -> AsyncIterator[Rig]:
    made = Rig(server)
    yield made
    await made.close()
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_edwards_curves_in_a_key_set(rig: Rig) -> None:
    rig.server.body = key_set(
        jwk(ED_KEY, kid="a", alg="Ed25519"), jwk(ED_KEY, kid="b", alg="EdDSA"), jwk(ED448_KEY, kid="c", use="sig")
    )
    verifier = rig.verifier()
    for kid, key, algorithm in (
        ("a", ED_KEY, "Ed25519"),
        ("b", ED_KEY, "EdDSA"),
        ("c", ED448_KEY, "Ed448"),
        ("c", ED448_KEY, "EdDSA"),
    ):
        assert (await verifier.verify(signed_by(key, kid, algorithm))).user == "ada"


async def test_keys_are_fetched_once_for_concurrent_requests(rig: Rig) -> None:
    verifier = rig.verifier()
    rig.server.delay = 0.1
    found = await asyncio.gather(*(verifier.verify(signed_by()) for _ in range(100)))
    assert {identity.user for identity in found} == {"ada"}
    await verifier.verify(signed_by())
    assert rig.server.requests == 1


async def test_cancelling_one_request_does_not_cancel_the_shared_fetch(rig: Rig) -> None:
    verifier = rig.verifier()
    rig.server.delay = 0.1
    leaving = asyncio.create_task(verifier.verify(signed_by()))
    await until(lambda: rig.server.requests == 1)
    staying = asyncio.create_task(verifier.verify(signed_by()))
    await asyncio.sleep(0)
    leaving.cancel()
    assert (await staying).user == "ada"
    assert rig.server.requests == 1


@pytest.mark.parametrize("algorithm", SIGNERS)
async def test_every_key_type_is_accepted(rig: Rig, algorithm: str) -> None:
    rig.server.body = key_set(*map(jwk, (RSA_KEY, ED_KEY, ED448_KEY, *EC_KEYS.values())))
    identity = await rig.verifier().verify(signed_by(SIGNERS[algorithm], None, algorithm))
    assert identity.user == "ada"


async def test_key_rotation(rig: Rig) -> None:
    verifier = rig.verifier()
    await verifier.verify(signed_by())
    rig.server.body = key_set(jwk(OTHER_RSA_KEY, kid="two"))
    assert (await verifier.verify(signed_by(OTHER_RSA_KEY, "two"))).user == "ada"
    assert rig.server.requests == 2
    await unavailable(verifier, signed_by())
    rig.clock.now += 31
    await refused(verifier, signed_by())


async def test_a_withdrawn_key_is_refused_after_the_next_refresh(rig: Rig) -> None:
    verifier = rig.verifier(Pace(refresh=0.05))
    await verifier.verify(signed_by())
    rig.server.body = key_set(jwk(OTHER_RSA_KEY, kid="two"))
    seen = rig.server.requests
    await until(lambda: rig.server.requests >= seen + 2)
    await refused(verifier, signed_by())


async def test_unknown_keys_are_unavailable_while_lookups_are_rate_limited(rig: Rig) -> None:
    verifier = rig.verifier()
    await refused(verifier, signed_by(OTHER_RSA_KEY, "invented"))
    await refused(verifier, signed_by(OTHER_RSA_KEY, "invented-too"))
    rig.server.body = key_set(jwk(RSA_KEY, kid="one"), jwk(OTHER_RSA_KEY, kid="fresh"))
    fetches = rig.server.requests
    fresh = signed_by(OTHER_RSA_KEY, "fresh")
    await unavailable(verifier, fresh)
    await unavailable(verifier, signed_by(OTHER_RSA_KEY, "invented"))
    assert (await verifier.verify(signed_by())).user == "ada"
    await refused(verifier, signed_by(OTHER_RSA_KEY, "one"))
    rig.clock.now += 29
    await unavailable(verifier, fresh)
    assert rig.server.requests == fetches
    rig.clock.now += 2
    # The next lookup, even for an invented key, also brings the fresh key.
    await refused(verifier, signed_by(OTHER_RSA_KEY, "invented"))
    assert (await verifier.verify(fresh)).user == "ada"
    assert rig.server.requests == fetches + 1


async def test_a_fetch_started_before_the_key_was_published_does_not_refuse_the_token(rig: Rig) -> None:
    verifier = rig.verifier()
    await verifier.verify(signed_by())
    rig.server.answering.clear()
    early = asyncio.create_task(verifier.verify(signed_by(OTHER_RSA_KEY, "invented")))
    await until(lambda: rig.server.requests == 2)
    fresh = asyncio.create_task(unavailable(verifier, signed_by(OTHER_RSA_KEY, "fresh")))
    await asyncio.sleep(0)
    rig.server.answering.set()
    await fresh
    with pytest.raises(TokenInvalid):
        await early


async def test_unknown_keys_cause_at_most_one_fetch_in_30_seconds(rig: Rig) -> None:
    verifier = rig.verifier()
    flood = [signed_by(OTHER_RSA_KEY, f"unknown-{i}") for i in range(10)]
    forged = [flood[0].replace(flood[0].split(".")[0], b64(b'{"alg":"RS256","kid":"%d"}' % i)) for i in range(1000)]
    outcomes = await asyncio.gather(*(verifier.verify(one) for one in forged), return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {TokenInvalid}
    assert rig.server.requests == 1
    await refused(verifier, flood[0])
    for one in flood:
        await unavailable(verifier, one)
    assert rig.server.requests == 2
    before = rig.server.requests
    rig.clock.now += 29
    await unavailable(verifier, flood[0])
    assert rig.server.requests == before
    rig.clock.now += 2
    await refused(verifier, flood[0])
    await unavailable(verifier, flood[1])
    assert rig.server.requests == before + 1
    assert (await verifier.verify(signed_by())).user == "ada"


async def test_every_key_with_the_same_kid_is_tried(rig: Rig) -> None:
    rig.server.body = key_set(jwk(RSA_KEY, kid="one"), jwk(OTHER_RSA_KEY, kid="one"), jwk(EC_KEYS["ES256"], kid="one"))
    verifier = rig.verifier(audience="herald")
    for key, algorithm in ((RSA_KEY, "RS256"), (OTHER_RSA_KEY, "PS512"), (EC_KEYS["ES256"], "ES256")):
        assert (await verifier.verify(signed_by(key, "one", algorithm, aud="herald"))).user == "ada"
    third = rsa.generate_private_key(65537, 2048)
    await refused(verifier, signed_by(third, "one", aud="herald"))
    # The reason is that of the key which signed the token.
    for key in (RSA_KEY, OTHER_RSA_KEY):
        assert "audience" in (await refused(verifier, signed_by(key, "one", aud="them"))).detail
    assert rig.server.requests == 1


async def test_the_number_of_keys_tried_is_limited(rig: Rig) -> None:
    rig.server.body = key_set(*[jwk(OTHER_RSA_KEY, kid="one")] * MAX_CANDIDATES, jwk(RSA_KEY, kid="one"))
    await refused(rig.verifier(), signed_by())


@pytest.mark.parametrize(
    "kid",
    ["../../../../etc/passwd", "/dev/null", "' OR 1=1 --", "one\0", "one\n", "ONE", "", "k" * 9000, "http://127.0.0.1:9/",
     "\ud800", 1, 1.5, True, None, ["one"], {"kid": "one"}],
    ids=short,
)  # fmt: skip
async def test_an_invalid_kid_is_refused(rig: Rig, kid: Any) -> None:
    header = json.dumps({"alg": "RS256", "kid": kid}).encode()
    text = f"{b64(header)}.{b64(CLAIMS_OF_ADA)}"
    jws = jwt.algorithms.RSAAlgorithm(jwt.algorithms.RSAAlgorithm.SHA256)
    await refused(rig.verifier(), f"{text}.{b64(jws.sign(text.encode(), RSA_KEY))}")
    assert rig.server.requests <= 1


async def test_unconfigured_algorithms_cause_no_fetch(rig: Rig) -> None:
    verifier = rig.verifier(algorithms=("RS256",))
    for forged in (token(), signed_by(EC_KEYS["ES256"], "one", "ES256"), signed_by(RSA_KEY, "one", "PS256"), "a.b.c"):
        await refused(verifier, forged)
    assert rig.server.requests == 0


async def test_a_published_key_is_never_used_as_a_secret(rig: Rig) -> None:
    rig.server.body = key_set(jwk(RSA_KEY, kid="one", alg="HS256"), jwk(OTHER_RSA_KEY, kid="two"))
    verifier = rig.verifier()
    for guess in (pem(RSA_KEY), pem(OTHER_RSA_KEY), json.dumps(jwk(RSA_KEY))):
        for kid in (b"one", b"two"):
            await refused(verifier, hmac_signed(b'{"alg":"HS256","kid":"%s"}' % kid, CLAIMS_OF_ADA, guess.encode()))
    await refused(verifier, signed_by(RSA_KEY, "one"))


OCT = {"kty": "oct", "k": b64(SECRET.encode()), "kid": "one"}


@pytest.mark.parametrize(
    "keys",
    [
        [OCT], [{**OCT, "alg": "RS256"}], [jwk(RSA_KEY, kid="one", use="enc")], [jwk(RSA_KEY, kid="one", alg="RS512")],
        [jwk(RSA_KEY, kid="one", alg="RSA-OAEP")], [jwk(RSA_KEY, kid="one", key_ops=["encrypt"])],
        [jwk(RSA_KEY, kid="one", kty="EC")], [jwk(RSA_KEY, kid=["one"])], [jwk(RSA_KEY, kid="one", n="AQAB")],
        [jwk(RSA_KEY, kid="one", n=5)], [jwk(RSA_KEY, kid="one", kty=["RSA"])],
        [jwk(RSA_KEY, kid="one", alg=["RS256"])],
        [jwk(rsa.generate_private_key(65537, 1024), kid="one")], [jwk(EC_KEYS["ES256"], kid="one", alg="RS256")],
        [5], ["one"], [None], [[]], [{}],
    ],
)  # fmt: skip
async def test_unsuitable_keys_are_ignored(rig: Rig, keys: list[Any]) -> None:
    rig.server.body = key_set(*keys, jwk(OTHER_RSA_KEY, kid="good"))
    verifier = rig.verifier()
    await refused(verifier, signed_by(RSA_KEY, "one"))
    await refused(verifier, token(SECRET, "HS256", headers={"kid": "one"}))
    assert (await verifier.verify(signed_by(OTHER_RSA_KEY, "good"))).user == "ada"


async def test_a_key_restricted_to_one_algorithm(rig: Rig) -> None:
    rig.server.body = key_set(jwk(RSA_KEY, kid="one", alg="RS512", use="sig", key_ops=["verify"], unknown=[1]))
    verifier = rig.verifier()
    assert (await verifier.verify(signed_by(RSA_KEY, "one", "RS512"))).user == "ada"
    await refused(verifier, signed_by(RSA_KEY, "one", "RS256"))


async def test_a_key_set_without_a_key_for_the_configured_algorithms_is_unavailable(rig: Rig) -> None:
    await unavailable(rig.verifier(algorithms=("ES256",)), signed_by(EC_KEYS["ES256"], "one", "ES256"))


async def test_a_token_without_kid_is_verified_with_every_suitable_key(rig: Rig) -> None:
    rig.server.body = key_set(jwk(RSA_KEY, kid="one"), jwk(EC_KEYS["ES256"]))
    verifier = rig.verifier()
    assert (await verifier.verify(signed_by(RSA_KEY, None))).user == "ada"
    assert (await verifier.verify(signed_by(EC_KEYS["ES256"], None, "ES256"))).user == "ada"
    rig.server.body = key_set(jwk(RSA_KEY, kid="one"), jwk(OTHER_RSA_KEY, kid="two"))
    both = rig.verifier()
    for key in (RSA_KEY, OTHER_RSA_KEY):
        assert (await both.verify(signed_by(key, None))).user == "ada"


async def test_a_private_key_is_used_only_if_its_key_ops_allow_verifying(rig: Rig) -> None:
    rig.server.body = key_set(
        {**jwt.algorithms.RSAAlgorithm.to_jwk(RSA_KEY, as_dict=True), "key_ops": None, "kid": "x"}
    )
    await unavailable(rig.verifier(), signed_by(RSA_KEY, "x"))
    private = {**jwt.algorithms.RSAAlgorithm.to_jwk(RSA_KEY, as_dict=True), "key_ops": ["verify"], "kid": "x"}
    rig.server.body = key_set(private)
    assert (await rig.verifier().verify(signed_by(RSA_KEY, "x"))).user == "ada"


async def test_an_unavailable_server_at_the_start(rig: Rig) -> None:
    verifier = rig.verifier()
    rig.server.stop()
    with capture_logs() as logs:
        for _ in range(5):
            await unavailable(verifier, signed_by())
            rig.clock.now += 1.1
        rig.server.start()
        assert (await verifier.verify(signed_by())).user == "ada"
    assert [line["event"] for line in logs] == ["jwks_unavailable", "jwks_available"]


async def test_an_unavailable_server_is_asked_at_most_once_per_second(rig: Rig) -> None:
    verifier = rig.verifier()
    rig.server.status = 503
    for _ in range(3):
        outcomes = await asyncio.gather(*(verifier.verify(signed_by()) for _ in range(100)), return_exceptions=True)
        assert {type(outcome) for outcome in outcomes} == {Unavailable}
        await unavailable(verifier, signed_by())
        rig.clock.now += 1.1
    assert rig.server.requests == 3
    await refused(verifier, "rubbish")


async def test_keys_stay_valid_while_the_server_is_unavailable(rig: Rig) -> None:
    verifier = rig.verifier(Pace(refresh=0.02))
    await verifier.verify(signed_by())
    with capture_logs() as logs:
        rig.server.stop()
        await until(lambda: bool(logs))
        await asyncio.sleep(0.1)
        assert (await verifier.verify(signed_by())).user == "ada"
        await refused(verifier, signed_by(OTHER_RSA_KEY, "one"))
        await unavailable(verifier, signed_by(OTHER_RSA_KEY, "two"))
        assert [line["event"] for line in logs if line["log_level"] == "warning"] == ["jwks_unavailable"]
        rig.server.body = key_set(jwk(OTHER_RSA_KEY, kid="two"))
        rig.server.start()
        await until(lambda: logs[-1]["event"] == "jwks_available")
    assert (await verifier.verify(signed_by(OTHER_RSA_KEY, "two"))).user == "ada"


BAD_ANSWERS: dict[str, dict[str, Any]] = {
    "empty": {"body": b""},
    "not JSON": {"body": b"<html>welcome to the hotel network</html>"},
    "a list": {"body": b"[]"},
    "an object": {"body": b"{}"},
    "keys no list": {"body": b'{"keys":{"one":1}}'},
    "no keys": {"body": b'{"keys":[]}'},
    "no fitting keys": {"body": key_set(OCT)},
    "too deep": {"body": b'{"keys":' + b"[" * 10_000},
    "too large": {"body": key_set(jwk(RSA_KEY, kid="one")) + b" " * 1_000_000},
    "compressed": {"body": gzip.compress(key_set(jwk(RSA_KEY, kid="one"))), "headers": {"Content-Encoding": "gzip"}},
    "not found": {"status": 404},
    "broken": {"status": 500},
    "nothing": {"status": 204},
}


@pytest.mark.parametrize("answer", BAD_ANSWERS.values(), ids=BAD_ANSWERS)
async def test_an_invalid_response_leaves_the_keys_unchanged(rig: Rig, answer: dict[str, Any]) -> None:
    knowing = rig.verifier()
    await knowing.verify(signed_by())
    for name, value in answer.items():
        setattr(rig.server, name, value)
    with capture_logs() as logs:
        await unavailable(rig.verifier(), signed_by())
    assert logs[0]["error"].startswith(("the answer ", "no key in the set "))
    await unavailable(knowing, signed_by(OTHER_RSA_KEY, "two"))
    assert (await knowing.verify(signed_by())).user == "ada"


async def test_redirects_are_not_followed(rig: Rig) -> None:
    elsewhere = JwksServer()
    elsewhere.body = key_set(jwk(OTHER_RSA_KEY, kid="one"))
    elsewhere.start()
    rig.server.status, rig.server.headers = 302, {"Location": elsewhere.url}
    await unavailable(rig.verifier(), signed_by(OTHER_RSA_KEY))
    elsewhere.stop()
    assert elsewhere.requests == 0


@pytest.mark.parametrize(("delay", "drip"), [(60.0, 0.0), (0.0, 0.05)], ids=["silent", "dripping"])
async def test_a_slow_server_counts_as_unavailable_and_does_not_block_the_loop(
    rig: Rig, delay: float, drip: float
) -> None:
    rig.server.delay, rig.server.drip = delay, drip
    waiting = asyncio.create_task(unavailable(rig.verifier(Pace(timeout=0.3)), signed_by()))
    longest, last = 0.0, time.monotonic()
    started = last
    while not waiting.done():
        await asyncio.sleep(0.005)
        longest, last = max(longest, time.monotonic() - last), time.monotonic()
    await waiting
    assert 0.25 < last - started < 3
    assert longest < 0.2


async def test_closing_ends_fetches_and_is_idempotent(rig: Rig) -> None:
    waiting_on, knowing = rig.verifier(), rig.verifier()
    await knowing.verify(signed_by())
    rig.server.delay = 60
    waiting = asyncio.create_task(unavailable(waiting_on, signed_by()))
    await until(lambda: rig.server.requests == 2)
    with capture_logs() as logs:
        for verifier in (waiting_on, knowing):
            await verifier.close()
            await verifier.close()
            await unavailable(verifier, signed_by(OTHER_RSA_KEY, "two"))
        await waiting
    assert logs == []
    assert (await knowing.verify(signed_by())).user == "ada"
    assert rig.server.requests == 2
    await with_secret().close()
