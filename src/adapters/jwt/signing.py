"""Makes tokens, for `herald token`. The server itself makes none."""

from typing import Any, Final

import jwt
import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from adapters.jwt.keys import SECRET_ALGORITHMS, PublicKey, algorithms_of, configured_key
from adapters.jwt.settings import JwtSettings
from adapters.jwt.verifier import MAX_TOKEN_LENGTH
from domain.user_ids import as_user

# The claims that `make_claims` computes: they can't be given as additional claims.
_COMPUTED: Final = ("scope", "iat", "exp")

NOT_ACCEPTED: Final = (
    "The key is of a kind that is not accepted: RSA of at least 2048 bits, EC on P-256, P-384 or P-521, Ed25519 and"
    " Ed448 are."
)


class SigningKey(msgspec.Struct, frozen=True):
    """A key that signs tokens by one algorithm. `kid` is written into the header of the tokens, unless it is None."""

    material: Any
    algorithm: str
    kid: str | None = None

    def sign(self, claims: dict[str, Any]) -> str:
        """Returns a token with these claims. Raises ValueError if `iss` is not text, or if the token is longer than
        Herald accepts."""
        headers = {"kid": self.kid} if self.kid is not None else None
        if not isinstance(claims.get("iss", ""), str):
            raise ValueError("The claim iss must be text.")
        token = jwt.encode(claims, self.material, self.algorithm, headers)
        if len(token) > MAX_TOKEN_LENGTH:
            raise ValueError(f"The token has {len(token)} characters; at most {MAX_TOKEN_LENGTH} are accepted.")
        return token


def configured_secret(settings: JwtSettings, kid: str | None) -> SigningKey:
    """Returns HERALD_JWT_SECRET as a key that signs tokens. Raises ValueError if it is not set, or unusable."""
    if not settings.secret:
        raise ValueError("There is no key to sign with: set HERALD_JWT_SECRET, or name a private key with --key.")
    configured_key(settings)  # checks the secret
    return SigningKey(settings.secret, _algorithm(SECRET_ALGORITHMS, settings), kid)


def private_key(pem: bytes, settings: JwtSettings, kid: str | None) -> SigningKey:
    """Returns a private key in PEM as a key that signs tokens. Raises ValueError if it is not one, is encrypted, or is
    of a kind that Herald accepts no tokens of."""
    return SigningKey(_load(pem), _algorithm(algorithms_of(public_part(pem)), settings), kid)


def public_part(pem: bytes) -> PublicKey:
    """Returns the public key of a private key in PEM. Raises ValueError like `private_key`."""
    public = _load(pem).public_key()
    if not isinstance(public, PublicKey) or not algorithms_of(public):
        raise ValueError(NOT_ACCEPTED)
    return public


def make_claims(
    user: str, scopes: tuple[str, ...], additional: dict[str, Any], *, now: int, lifetime_s: int, settings: JwtSettings
) -> dict[str, Any]:
    """Returns the claims of a token for the user, issued at `now` (seconds since 1970) and valid for `lifetime_s`
    seconds, with the issuer and the audience of the settings. `additional` claims may replace these two.

    Raises ValueError if the user or a scope is not valid, or if a claim is computed and additional."""
    if as_user(user) is None:
        raise ValueError("The user is not a valid user id: it must be 1 to 255 printable characters.")
    for scope in scopes:
        if scope.split() != [scope] or not scope.isprintable():
            raise ValueError(f"{scope!r} is not a scope: name each scope with a --scope of its own.")
    for name in (*_COMPUTED, settings.user_claim):
        if name in additional:
            raise ValueError(f"The claim {name} is set by this command: use its arguments instead of --claim {name}.")
    named = {"iss": settings.issuer, "aud": settings.audience, "scope": " ".join(scopes)}
    return {
        settings.user_claim: user,
        **{name: value for name, value in named.items() if value},
        "iat": now,
        "exp": now + lifetime_s,
        **additional,
    }


def _load(pem: bytes) -> PrivateKeyTypes:
    if b"PRIVATE KEY" not in pem:
        raise ValueError("The key is not a private key in PEM (-----BEGIN PRIVATE KEY-----).")
    try:
        return load_pem_private_key(pem, password=None)
    except TypeError:
        raise ValueError("The key is encrypted: name a file that contains it without a password.") from None
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError("The key is not a private key in PEM (-----BEGIN PRIVATE KEY-----).") from None


def _algorithm(possible: tuple[str, ...], settings: JwtSettings) -> str:
    """Returns the first algorithm that is possible with a key and accepted by HERALD_JWT_ALGORITHMS."""
    for algorithm in possible:
        if not settings.algorithms or algorithm in settings.algorithms:
            return algorithm
    raise ValueError(
        f"HERALD_JWT_ALGORITHMS is {', '.join(settings.algorithms)}; the key can sign by {', '.join(possible)} only."
    )
