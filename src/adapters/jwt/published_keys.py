"""Makes a JWK set (RFC 7517) of the public keys of key pairs, for `herald token --jwks`."""

import base64
import hashlib
from collections.abc import Iterable
from typing import Any, Final

import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from adapters.jwt.keys import PublicKey, algorithms_of
from adapters.jwt.signing import NOT_ACCEPTED, public_part

# The members of a JWK from which its thumbprint is made (RFC 7638, section 3.2; RFC 8037, section 2).
_THUMBPRINT: Final[tuple[str, ...]] = ("crv", "e", "kty", "n", "x", "y")


def make_key_set(pems: Iterable[bytes], kid: str | None = None) -> str:
    """Returns a JWK set of keys in PEM, as JSON. Of a private key, it contains the public part only. `kid` is the id of
    a single key; without it, the id of each key is its thumbprint (RFC 7638), a hash of the key.

    Raises ValueError if a text is not a key in PEM, or is of a kind that Herald accepts no tokens of.
    """
    keys = [_jwk(_read(pem), kid) for pem in pems]
    return msgspec.json.format(msgspec.json.encode({"keys": keys}), indent=2).decode()


def _read(pem: bytes) -> PublicKey:
    if b"PRIVATE KEY" in pem:
        return public_part(pem)
    try:
        key = load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError("The key is not in PEM (-----BEGIN PRIVATE KEY----- or -----BEGIN PUBLIC KEY-----).") from None
    if not isinstance(key, PublicKey) or not algorithms_of(key):
        raise ValueError(NOT_ACCEPTED)
    return key


def _jwk(key: PublicKey, kid: str | None) -> dict[str, Any]:
    if isinstance(key, RSAPublicKey):
        members = RSAAlgorithm.to_jwk(key, as_dict=True)
    elif isinstance(key, EllipticCurvePublicKey):
        members = ECAlgorithm.to_jwk(key, as_dict=True)
    else:
        members = OKPAlgorithm.to_jwk(key, as_dict=True)
    described: dict[str, Any] = {name: members[name] for name in _THUMBPRINT if name in members}
    return {**described, "kid": kid or _thumbprint(described), "use": "sig"}


def _thumbprint(members: dict[str, Any]) -> str:
    hashed = hashlib.sha256(msgspec.json.encode(members, order="sorted")).digest()
    return base64.urlsafe_b64encode(hashed).decode().rstrip("=")
