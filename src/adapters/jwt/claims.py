"""Converts the claims of a token to an identity. The signature, audience and issuer were verified before."""

from hashlib import sha256
from typing import Any, Final

from domain.errors import TokenExpired, TokenInvalid
from domain.identity import Identity
from domain.user_ids import as_user

# The maximum of a time in a claim, in seconds since 1970: the last second of the year 9999, after which datetime ends.
# A greater number is probably in milliseconds.
_END_OF_TIME: Final = 253_402_300_799

# Maximum length of a token id (`jti`): enough for a UUID or a hash. The id is part of the key of the token's rate
# limit.
_LONGEST_ID: Final = 128
_HASH_DIGITS: Final = 32


# Claims in which issuers put scopes, in addition to `scope`. Other software uses these names too, so a claim with
# another content is ignored instead of an error.
_OTHER_SCOPE_CLAIMS: Final = ("scp", "permissions")


def identity_of(claims: dict[str, Any], now: float, leeway: float, scope_claims: tuple[str, ...] = ()) -> Identity:
    """Returns the identity that the claims of a token describe. `now` is the current time in seconds since 1970,
    `leeway` the allowed difference between clocks in seconds.

    `sub` is the user, and must be a valid user id (a number is converted to text, as in events). The scopes are those
    in `scope`, `scp`, `permissions` and `scope_claims` together; each claim is space-separated text (RFC 8693, section
    4.2) or a list. `exp`, `nbf` and `iat` are optional, but must be times. A token that was issued in the future is
    refused, because a sign-out revokes only tokens that were issued before it.

    Raises TokenInvalid. Raises TokenExpired if the token is valid except that it has expired: then a new token from the
    same issuer will be accepted.
    """
    user = as_user(claims.get("sub"))
    if user is None:
        raise TokenInvalid("The token's `sub` is missing, or is not a valid user id.")
    scopes = _scopes(claims, scope_claims)
    issued_at, begins_at, expires_at = (_time(claims, name) for name in ("iat", "nbf", "exp"))
    if max(issued_at or 0.0, begins_at or 0.0) > now + leeway:
        raise TokenInvalid("The token is not valid yet.")
    if expires_at is not None and expires_at <= now - leeway:
        raise TokenExpired
    return Identity(user=user, scopes=scopes, issued_at=issued_at, expires_at=expires_at)


def token_id_of(claims: dict[str, Any], token: str) -> str:
    """Returns an id of the token: its `jti` if that is printable text of at most 128 characters, otherwise a hash of
    the token, from which the token can't be computed."""
    jti = claims.get("jti")
    if isinstance(jti, str) and 0 < len(jti) <= _LONGEST_ID and jti.isprintable():
        return jti
    return sha256(token.encode(errors="replace")).hexdigest()[:_HASH_DIGITS]


def _time(claims: dict[str, Any], name: str) -> float | None:
    """Returns the time in a claim (a NumericDate, RFC 7519, section 2) in seconds since 1970; None if the claim is
    missing. Raises TokenInvalid if the claim is not a time."""
    if name not in claims:
        return None
    value = claims[name]
    if type(value) in (int, float) and 0 <= value <= _END_OF_TIME:  # this excludes NaN and bool
        return float(value)
    raise TokenInvalid(f"The token's {name} is not a time in seconds.")


def _scopes(claims: dict[str, Any], configured: tuple[str, ...]) -> frozenset[str]:
    """Returns the scopes in all claims. Raises TokenInvalid if `scope`, or one of the `configured` claims, is neither
    text nor a list of texts."""
    found: set[str] = set()
    for name in ("scope", *configured):
        value = _claim_at(claims, name)
        scopes = _scopes_in(value)
        if scopes is None and value is not None:
            raise TokenInvalid(f"The token's {name} is neither text nor a list of texts.")
        found |= scopes or frozenset()
    for name in _OTHER_SCOPE_CLAIMS:
        found |= _scopes_in(claims.get(name)) or frozenset()
    return frozenset(found)


def _claim_at(claims: dict[str, Any], name: str) -> Any:
    """Returns the claim whose name is `name`, dots included. If there is none, returns the value at that dotted path,
    or None."""
    if name in claims:
        return claims[name]
    value: Any = claims
    for part in name.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def _scopes_in(value: Any) -> frozenset[str] | None:
    if isinstance(value, str):
        return frozenset(value.split())
    if isinstance(value, list) and all(isinstance(scope, str) for scope in value):
        return frozenset(value)
    return None
