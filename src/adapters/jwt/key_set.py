"""Reading a JWK set (RFC 7517 section 5)."""

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from adapters.jwt.keys import Key, PublicKey, algorithms_of

# Symmetric keys ("oct") are not among them: what everyone can fetch is no secret.
_LOADERS: Final[Mapping[str, Callable[[dict[str, Any]], Any]]] = {
    "RSA": RSAAlgorithm.from_jwk,
    "EC": ECAlgorithm.from_jwk,
    "OKP": OKPAlgorithm.from_jwk,
}

# Of a set that gives away private keys, only the public half is looked at.
_PUBLIC_MEMBERS: Final = ("kty", "n", "e", "crv", "x", "y")


class NotKeys(Exception):
    """What the server answered is no use as a JWK set. The text says why, and holds nothing of the answer."""


class _KeySet(msgspec.Struct):
    keys: list[Any]


_decode = msgspec.json.Decoder(_KeySet).decode


def read_key_set(document: bytes, allowed: tuple[str, ...]) -> tuple[Key, ...]:
    """The keys of a set that can verify by one of the `allowed` algorithms.

    As the RFC wants, keys that are malformed or not understood are passed over. NotKeys for what is no JWK set, and for
    a set without a single key that fits: an issuer in working order has one.
    """
    try:
        entries = _decode(document).keys
    except (msgspec.DecodeError, RecursionError):
        raise NotKeys("it answered something else than a JWK set") from None
    keys = tuple(key for entry in entries if (key := _read_key(entry, allowed)))
    if not keys:
        raise NotKeys("none of its keys fits the algorithms in use")
    return keys


def _read_key(entry: Any, allowed: tuple[str, ...]) -> Key | None:
    """One key of a set, bound to those algorithms that its kind, its own `alg` and the settings all allow."""
    if not isinstance(entry, dict) or not _for_verifying(entry):
        return None
    alg, kid, material = entry.get("alg"), entry.get("kid"), _material(entry)
    algorithms = tuple(name for name in algorithms_of(material) if name in allowed and alg in (None, name))
    if material is None or not algorithms or not isinstance(kid, str | None):
        return None
    return Key(material, algorithms, kid)


def _for_verifying(entry: dict[str, Any]) -> bool:
    """Whether `use` and `key_ops` (RFC 7517 sections 4.2, 4.3), where present, let the key verify signatures."""
    operations = entry.get("key_ops", ["verify"])
    return entry.get("use", "sig") == "sig" and isinstance(operations, list) and "verify" in operations


def _material(entry: dict[str, Any]) -> PublicKey | None:
    kind = entry.get("kty")
    loader = _LOADERS.get(kind) if isinstance(kind, str) else None
    if loader is None:
        return None
    try:
        material = loader({name: entry[name] for name in _PUBLIC_MEMBERS if name in entry})
    except Exception:  # The libraries below promise no common error, and one bad key must not hide the good ones.
        return None
    return material if isinstance(material, PublicKey) else None
