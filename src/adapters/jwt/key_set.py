"""Decodes a JWK set (RFC 7517, section 5), the JSON document in which a token issuer publishes its keys."""

from typing import Any, Final

import msgspec
from jwt import PyJWK

from adapters.jwt.keys import Key, PublicKey, algorithms_of

# The members of a JWK that describe a public key. If an issuer publishes private keys by mistake, their other members
# are not read.
_PUBLIC_MEMBERS: Final = ("kty", "n", "e", "crv", "x", "y")


class NotKeys(Exception):
    """Raised if the response of a token issuer's server is not a usable JWK set. The message gives the reason; it
    contains no part of the response body."""


class _KeySet(msgspec.Struct):
    keys: list[Any]


_decode = msgspec.json.Decoder(_KeySet).decode


def read_key_set(document: bytes, allowed: tuple[str, ...]) -> tuple[Key, ...]:
    """Returns the keys in a JWK set (JSON) that can verify signatures by at least one of the `allowed` algorithms.

    Skips malformed keys and keys of unknown types, as RFC 7517 requires. Raises NotKeys if the document is not a JWK
    set or contains no usable key.
    """
    try:
        entries = _decode(document).keys
    except (msgspec.DecodeError, RecursionError):
        raise NotKeys("the answer is not a JWK set") from None
    keys = tuple(key for entry in entries if (key := _read_key(entry, allowed)))
    if not keys:
        raise NotKeys("no key in the set fits the algorithms in use")
    return keys


def _read_key(entry: Any, allowed: tuple[str, ...]) -> Key | None:
    """Returns the key in one entry of a JWK set, with the algorithms that fit its type and its `alg` (if present) and
    are `allowed`. Returns None if the entry is malformed, is not meant for verifying signatures, or no algorithm
    remains."""
    if not isinstance(entry, dict) or not _may_verify(entry):
        return None
    alg, kid, material = entry.get("alg"), entry.get("kid"), _public_key(entry)
    algorithms = tuple(name for name in algorithms_of(material) if name in allowed and alg in (None, name))
    if material is None or not algorithms or not isinstance(kid, str | None):
        return None
    return Key(material, algorithms, kid)


def _may_verify(entry: dict[str, Any]) -> bool:
    """Returns whether an entry of a JWK set is meant for verifying signatures: `use` must be absent or `sig`, and
    `key_ops` must be absent or contain `verify` (RFC 7517, sections 4.2 and 4.3)."""
    operations = entry.get("key_ops", ["verify"])
    return entry.get("use", "sig") == "sig" and isinstance(operations, list) and "verify" in operations


def _public_key(entry: dict[str, Any]) -> PublicKey | None:
    """Returns the public key in an entry of a JWK set. Returns None for a malformed entry, and for a symmetric key: it
    is published, so anyone could sign tokens with it."""
    public: dict[str, Any] = {name: entry[name] for name in _PUBLIC_MEMBERS if name in entry}
    # Without the algorithm, PyJWK does not recognise Ed448 keys.
    algorithm = "EdDSA" if public.get("kty") == "OKP" else None
    try:
        # PyJWKSet is not used: it rejects the whole set if one entry is not an object.
        material = PyJWK(public, algorithm).key
    except Exception:  # PyJWT and cryptography raise many errors, and one bad key must not hide the good ones.
        return None
    return material if isinstance(material, PublicKey) else None
