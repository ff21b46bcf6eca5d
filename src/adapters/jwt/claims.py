"""Converts the claims of a token, whose signature, audience and issuer were verified, to an identity."""

from hashlib import sha256
from typing import Any, Final

from domain.errors import TokenExpired, TokenInvalid
from domain.identity import Identity
from domain.users import as_user

# The last second of the year 9999, the maximum of datetime. A later time is in milliseconds, or invalid.
_END_OF_TIME: Final = 253_402_300_799

# Enough for a UUID or a hash. The id becomes part of a key that is stored while the token is in use.
_LONGEST_ID: Final = 128
_HASH_DIGITS: Final = 32


# Claims with scopes that issuers use beside `scope`. Their names are common, so a claim with another content grants
# nothing, and is not an error.
_OTHER_SCOPE_CLAIMS: Final = ("scp", "permissions")


def identity_of(claims: dict[str, Any], now: float, leeway: float, scope_claims: tuple[str, ...] = ()) -> Identity:
    """Returns the identity for the claims at `now` (seconds since 1970).

    `sub` is the user, and must be a valid user id, as in events (a number is converted to text). The scopes are those
    of `scope`, `scp`, `permissions` and `scope_claims` together: space separated text (RFC 8693 section 4.2) or a list.
    `exp`, `nbf` and `iat` are optional, but must be times. A token issued in the future is refused, since it would
    survive every sign-out. Raises TokenInvalid. Raises TokenExpired only if the token is valid otherwise: a new token
    of the same kind will be accepted.
    """
    user = as_user(claims.get("sub"))
    if user is None:
        raise TokenInvalid("The token has no subject that could be a user.")
    scopes = _scopes(claims, scope_claims)
    issued_at, begins_at, expires_at = (_time(claims, name) for name in ("iat", "nbf", "exp"))
    if max(issued_at or 0.0, begins_at or 0.0) > now + leeway:
        raise TokenInvalid("The token is not valid yet.")
    if expires_at is not None and expires_at <= now - leeway:
        raise TokenExpired
    return Identity(user=user, scopes=scopes, issued_at=issued_at, expires_at=expires_at)


def token_id_of(claims: dict[str, Any], token: str) -> str:
    """Returns the token's `jti` if it is short, printable text; otherwise a hash that does not reveal the token."""
    jti = claims.get("jti")
    if isinstance(jti, str) and 0 < len(jti) <= _LONGEST_ID and jti.isprintable():
        return jti
    return sha256(token.encode(errors="replace")).hexdigest()[:_HASH_DIGITS]


def _time(claims: dict[str, Any], name: str) -> float | None:
    """Returns a NumericDate (RFC 7519 section 2), None if the claim is missing. Raises TokenInvalid."""
    if name not in claims:
        return None
    value = claims[name]
    if type(value) in (int, float) and 0 <= value <= _END_OF_TIME:  # not true of NaN, and bool is another type
        return float(value)
    raise TokenInvalid(f"The token's {name} is not a time in seconds.")


def _scopes(claims: dict[str, Any], configured: tuple[str, ...]) -> frozenset[str]:
    """Raises TokenInvalid if `scope`, or a claim that the settings name, is neither text nor a list of texts."""
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
    """Returns the claim with this name, dots included; else the one at the dotted path; else None."""
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
