"""Keys that verify tokens, and the signature algorithms that each key may be used with.

The key determines the algorithms, not the header of the token (RFC 8725, section 3.1). Otherwise, anyone could sign a
token by HS256 with the text of the public key as the secret, and Herald would accept the token. Therefore a public key
is never used with an HS algorithm, an EC key only with the algorithm of its curve, and no key with `none`.
"""

import warnings
from typing import Final

import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from jwt import InvalidKeyError, register_algorithm
from jwt.algorithms import HMACAlgorithm, OKPAlgorithm, get_default_algorithms
from jwt.warnings import InsecureKeyLengthWarning

from adapters.jwt.refusal import TokenRefused, shown
from adapters.jwt.settings import JwtSettings

SECRET_ALGORITHMS: Final = ("HS256", "HS384", "HS512")
RSA_ALGORITHMS: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
CURVE_ALGORITHMS: Final = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512"}
# Each algorithm has two names: the one of RFC 8037, and the one of RFC 9864, which contains the curve.
ED25519_ALGORITHMS: Final = ("EdDSA", "Ed25519")
ED448_ALGORITHMS: Final = ("EdDSA", "Ed448")
KEY_ALGORITHMS: Final = (*RSA_ALGORITHMS, *CURVE_ALGORITHMS.values(), "EdDSA", "Ed25519", "Ed448")

# PyJWT supports only the name of RFC 8037.
for _name in ("Ed25519", "Ed448"):
    if _name not in get_default_algorithms():
        register_algorithm(_name, OKPAlgorithm())

# Minimum size of a secret in bytes, for all HS algorithms. RFC 7518, section 3.2, requires the size of the hash, which
# is more for HS384 and HS512. But 256 bits can't be guessed, and many issuers use one secret of that size for all
# three.
MIN_SECRET_BYTES: Final = 32
# PyJWT warns of secrets that are shorter than the hash.
warnings.filterwarnings("ignore", category=InsecureKeyLengthWarning)

# Minimum size of an RSA key in bits: RFC 7518, section 3.3.
MIN_RSA_BITS: Final = 2048

PublicKey = RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey | Ed448PublicKey


class Key(msgspec.Struct, frozen=True):
    """A key, and the only algorithms by which it may verify signatures of tokens. `material` is a secret (text) or a
    public key. `kid` is the key's id in a JWK set; None if it has no id."""

    material: str | PublicKey
    algorithms: tuple[str, ...]
    kid: str | None = None


def configured_key(settings: JwtSettings) -> Key | None:
    """Returns the key in HERALD_JWT_SECRET or HERALD_JWT_PUBLIC_KEY; None if HERALD_JWT_JWKS_URL is set instead.

    Raises ValueError if none or more than one of these three settings is set, or if the key is too short, malformed, or
    can't be used with one of HERALD_JWT_ALGORITHMS. The error names the setting, and does not contain the key.
    """
    if sum(map(bool, (settings.secret, settings.public_key, settings.jwks_url))) != 1:
        raise ValueError("Set exactly one of HERALD_JWT_SECRET, HERALD_JWT_PUBLIC_KEY and HERALD_JWT_JWKS_URL.")
    if settings.secret:
        _check_secret(settings.secret)
        return Key(settings.secret, accepted_algorithms(SECRET_ALGORITHMS, settings.algorithms, "HERALD_JWT_SECRET"))
    if settings.public_key:
        material = _load(settings.public_key)
        return Key(
            material, accepted_algorithms(algorithms_of(material), settings.algorithms, "this HERALD_JWT_PUBLIC_KEY")
        )
    return None


def accepted_algorithms(possible: tuple[str, ...], wanted: tuple[str, ...], source: str) -> tuple[str, ...]:
    """Returns the signature algorithms that are accepted with a key: `wanted` (HERALD_JWT_ALGORITHMS) or, if `wanted`
    is empty, all that are `possible` with the key. Raises ValueError if a wanted algorithm is not possible; the message
    names the setting of the key, `source`."""
    for name in wanted:
        if name not in possible:
            raise ValueError(
                f"HERALD_JWT_ALGORITHMS names {name!r}, which can't be used with {source}: {', '.join(possible)} can."
            )
    return wanted or possible


def check_algorithm(algorithm: str, accepted: tuple[str, ...]) -> None:
    """Raises TokenRefused if the `alg` of a token is not one of the `accepted` algorithms."""
    if algorithm not in accepted:
        raise TokenRefused("algorithm_refused", "alg", shown(algorithm), ", ".join(accepted))


def algorithms_of(material: object) -> tuple[str, ...]:
    """Returns the signature algorithms that a public key can be used with, for example `ES256` for an EC key on the
    curve P-256 (RFC 7518, section 3.1; RFC 8037, section 3.1; RFC 9864, section 2.2). Returns an empty tuple for an RSA
    key of fewer than MIN_RSA_BITS bits, another curve, or any other object."""
    if isinstance(material, RSAPublicKey):
        return RSA_ALGORITHMS if material.key_size >= MIN_RSA_BITS else ()
    if isinstance(material, EllipticCurvePublicKey):
        algorithm = CURVE_ALGORITHMS.get(material.curve.name)
        return (algorithm,) if algorithm else ()
    if isinstance(material, Ed25519PublicKey):
        return ED25519_ALGORITHMS
    return ED448_ALGORITHMS if isinstance(material, Ed448PublicKey) else ()


def _check_secret(secret: str) -> None:
    size = len(secret.encode(errors="replace"))
    if size < MIN_SECRET_BYTES:
        raise ValueError(
            f"HERALD_JWT_SECRET has {size} bytes; {MIN_SECRET_BYTES} random ones are the least (RFC 7518, section 3.2)."
        )
    try:
        HMACAlgorithm(HMACAlgorithm.SHA256).prepare_key(secret)
    except (InvalidKeyError, UnicodeEncodeError):
        raise ValueError(
            "HERALD_JWT_SECRET is not UTF-8, or holds a key or certificate (PEM, SSH or JWK) instead of a secret. "
            "A public key in PEM belongs in HERALD_JWT_PUBLIC_KEY."
        ) from None


def _load(pem: str) -> PublicKey:
    # Environment files that support no values of several lines contain PEM with line breaks written as `\n`.
    text = pem.replace("\\n", "\n")
    if "PRIVATE KEY" in text:
        raise ValueError(
            "HERALD_JWT_PUBLIC_KEY holds a private key: Herald needs, and should have, only the public one."
        )
    try:
        material = load_pem_public_key(text.encode())
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError("HERALD_JWT_PUBLIC_KEY is not a public key in PEM (-----BEGIN PUBLIC KEY-----).") from None
    if not isinstance(material, PublicKey) or not algorithms_of(material):
        raise ValueError(
            "HERALD_JWT_PUBLIC_KEY is of a kind that is not accepted: RSA of at least "
            f"{MIN_RSA_BITS} bits, EC on P-256, P-384 or P-521, Ed25519 and Ed448 are."
        )
    return material
