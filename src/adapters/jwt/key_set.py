"""Decodes a JWK set (RFC 7517, section 5)."""

from typing import Any, Final

import msgspec
from jwt import PyJWK

from adapters.jwt.keys import Key, PublicKey, algorithms_of

# The members of a JWK that describe a public key. If an issuer publishes private keys by mistake, their other members
# are not read.
_PUBLIC_MEMBERS: Final = ("kty", "n", "e", "crv", "x", "y")


class NotKeys(Exception):
    """The server's response is not a usable JWK set. The text says why, and contains no part of the response."""


class _KeySet(msgspec.Struct):
    keys: list[Any]


_decode = msgspec.json.Decoder(_KeySet).decode


def read_key_set(document: bytes, allowed: tuple[str, ...]) -> tuple[Key, ...]:
    """Returns the keys in a JWK set that can verify signatures by one of the `allowed` algorithms.

    Malformed keys, and keys of unknown types, are skipped, as RFC 7517 requires. Raises NotKeys if the document is not
    a JWK set, or if no key in it can be used.
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
    """Returns one key of a set, with the algorithms that its type, its `alg` and the settings all allow. Returns None
    if the key is malformed or there are no such algorithms."""
    if not isinstance(entry, dict) or not _for_verifying(entry):
        return None
    alg, kid, material = entry.get("alg"), entry.get("kid"), _material(entry)
    algorithms = tuple(name for name in algorithms_of(material) if name in allowed and alg in (None, name))
    if material is None or not algorithms or not isinstance(kid, str | None):
        return None
    return Key(material, algorithms, kid)


def _for_verifying(entry: dict[str, Any]) -> bool:
    """Returns whether `use` and `key_ops` (RFC 7517, sections 4.2 and 4.3), if present, allow to verify signatures."""
    operations = entry.get("key_ops", ["verify"])
    return entry.get("use", "sig") == "sig" and isinstance(operations, list) and "verify" in operations


def _material(entry: dict[str, Any]) -> PublicKey | None:
    """Returns the public key in an entry of a JWK set. Returns None for a malformed key, and for a symmetric key:
    anyone can fetch it, so it is not a secret."""
    public: dict[str, Any] = {name: entry[name] for name in _PUBLIC_MEMBERS if name in entry}
    # Without the algorithm, PyJWK does not recognise Ed448 keys.
    algorithm = "EdDSA" if public.get("kty") == "OKP" else None
    try:
        # PyJWKSet is not used: it rejects the whole set if one entry is not an object.
        material = PyJWK(public, algorithm).key
    except Exception:  # PyJWT and cryptography raise many errors, and one bad key must not hide the good ones.
        return None
    return material if isinstance(material, PublicKey) else None
