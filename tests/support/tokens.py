"""Valid and forged tokens, and verifiers for them."""

import base64
import hashlib
import hmac
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa

from adapters.jwt.key_cache import Pace
from adapters.jwt.settings import JwtSettings
from adapters.jwt.verifier import JwtVerifier
from domain.caller_errors import TokenInvalid, Unavailable
from tests.support.key_server import JwksServer

NOW = 1_800_000_000
SECRET = "a secret of at least thirty-two bytes, for tests"
RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OTHER_RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EC_KEYS = {
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "ES384": ec.generate_private_key(ec.SECP384R1()),
    "ES512": ec.generate_private_key(ec.SECP521R1()),
}
ED_KEY = ed25519.Ed25519PrivateKey.generate()
ED448_KEY = ed448.Ed448PrivateKey.generate()
RSA_ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"]
SIGNERS: dict[str, Any] = {
    **dict.fromkeys(RSA_ALGORITHMS, RSA_KEY),
    **EC_KEYS,
    "EdDSA": ED_KEY,
    "Ed25519": ED_KEY,
    "Ed448": ED448_KEY,
}


def short(value: Any) -> str:
    """Return a test id for a value that may be long."""
    return repr(value)[:40]


class FakeTime:
    def __init__(self, now: float = NOW) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def pem(key: Any) -> str:
    public: bytes = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return public.decode()


def private_pem(key: Any) -> str:
    private: bytes = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return private.decode()


def token(key: Any = SECRET, algorithm: str = "HS256", headers: dict[str, Any] | None = None, **claims: Any) -> str:
    said = {"sub": "ada", "iat": NOW - 60, "exp": NOW + 600, **claims}
    return jwt.encode({k: v for k, v in said.items() if v is not None}, key, algorithm=algorithm, headers=headers)


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def hmac_signed(header: bytes, payload: bytes, secret: bytes = SECRET.encode(), digest: Any = hashlib.sha256) -> str:
    """Return a token with a correct HMAC over any content, to test errors that are found after the signature check."""
    text = f"{b64(header)}.{b64(payload)}"
    return f"{text}.{b64(hmac.new(secret, text.encode(), digest).digest())}"


HS256 = b'{"alg":"HS256","typ":"JWT"}'
CLAIMS_OF_ADA = b'{"sub":"ada"}'


def with_secret(**more: Any) -> JwtVerifier:
    return JwtVerifier(JwtSettings(secret=SECRET, **more), FakeTime())


def with_key(key: Any = RSA_KEY, **more: Any) -> JwtVerifier:
    return JwtVerifier(JwtSettings(public_key=pem(key), **more), FakeTime())


async def refused(verifier: JwtVerifier, forged: Any) -> TokenInvalid:
    with pytest.raises(TokenInvalid) as caught:
        await verifier.verify(forged)
    return caught.value


class Rig:
    """Creates verifiers that use a JWKS server, with a manual clock for their rate limits. Closes all of them at the
    end."""

    def __init__(self, server: JwksServer) -> None:
        self.server = server
        self.clock = FakeTime(1000.0)
        self._made: list[JwtVerifier] = []

    def verifier(self, pace: Pace | None = None, **more: Any) -> JwtVerifier:
        told = JwtSettings(jwks_url=self.server.url, **more)
        made = JwtVerifier(told, FakeTime(), monotonic=self.clock, pace=pace or Pace())
        self._made.append(made)
        return made

    async def close(self) -> None:
        for made in self._made:
            await made.close()


def signed_by(key: Any = RSA_KEY, kid: str | None = "one", algorithm: str = "RS256", **claims: Any) -> str:
    return token(key, algorithm, headers={"kid": kid} if kid is not None else None, **claims)


async def unavailable(verifier: JwtVerifier, signed: str) -> None:
    with pytest.raises(Unavailable):
        await verifier.verify(signed)
