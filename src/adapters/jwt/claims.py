"""Converts the claims of a token to an identity. The caller, JwtVerifier, has verified the token's signature, audience
and issuer before; user, scopes and times are checked here."""

from hashlib import sha256
from typing import Any, Final

from domain.caller_errors import TokenExpired, TokenInvalid
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
    """Returns the identity that the claims of a token describe: user, scopes, and the times of issue and expiry.

    `now` is the current time in seconds since 1970; `leeway` is the tolerated difference, in seconds, between the
    clocks of the issuer and of this machine. `sub` is the user and must be a valid user id; a whole number is converted
    to text. The scopes are those of the claims `scope`, `scp` and `permissions` and of the claims named by
    `scope_claims`. Each of these claims is either text with scopes separated by spaces (RFC 8693, section 4.2) or a
    list of scopes. `exp`, `nbf` and `iat` may be missing.

    Raises TokenInvalid if one of these claims is invalid (except `scp` and `permissions`, which are ignored then), or
    if `nbf` or `iat` is in the future. Raises TokenExpired if all claims are valid but `exp` has passed: the client
    needs a new token of the same issuer.
    """
    user = as_user(claims.get("sub"))
    if user is None:
        raise TokenInvalid("The token's `sub` is missing, or is not a valid user id.")
    scopes = _scopes(claims, scope_claims)
    issued_at, begins_at, expires_at = (_time(claims, name) for name in ("iat", "nbf", "exp"))
    # A sign-out invalidates the tokens issued until then. A token with a later time of issue would remain valid.
    if max(issued_at or 0.0, begins_at or 0.0) > now + leeway:
        raise TokenInvalid("The token is not valid yet.")
    if expires_at is not None and expires_at <= now - leeway:
        raise TokenExpired
    return Identity(user=user, scopes=scopes, issued_at=issued_at, expires_at=expires_at)


def token_id_of(claims: dict[str, Any], token: str) -> str:
    """Returns an id of the token, for the rate limit of the token: its claim `jti` if that is printable text of 1 to
    128 characters, otherwise the first 32 hexadecimal digits of the token's SHA-256 hash."""
    jti = claims.get("jti")
    if isinstance(jti, str) and 0 < len(jti) <= _LONGEST_ID and jti.isprintable():
        return jti
    return sha256(token.encode(errors="replace")).hexdigest()[:_HASH_DIGITS]


def _time(claims: dict[str, Any], name: str) -> float | None:
    """Returns the time in the claim `name` in seconds since 1970 (a NumericDate, RFC 7519, section 2), or None if the
    claim is missing. Raises TokenInvalid if the claim is not a number, is negative, or is later than the year 9999."""
    if name not in claims:
        return None
    value = claims[name]
    if type(value) in (int, float) and 0 <= value <= _END_OF_TIME:  # this excludes NaN and bool
        return float(value)
    raise TokenInvalid(f"The token's {name} is not a time in seconds.")


def _scopes(claims: dict[str, Any], configured: tuple[str, ...]) -> frozenset[str]:
    """Returns the scopes of a token: those in its claims `scope`, `scp` and `permissions` and in the `configured`
    claims (HERALD_JWT_SCOPE_CLAIMS). Raises TokenInvalid if `scope` or a configured claim is neither text nor a list of
    texts. Ignores `scp` or `permissions` if they are neither."""
    found: set[str] = set()
    for name in ("scope", *configured):
        value = _claim_by_path(claims, name)
        scopes = _scopes_in(value)
        if scopes is None and value is not None:
            raise TokenInvalid(f"The token's {name} is neither text nor a list of texts.")
        found |= scopes or frozenset()
    for name in _OTHER_SCOPE_CLAIMS:
        found |= _scopes_in(claims.get(name)) or frozenset()
    return frozenset(found)


def _claim_by_path(claims: dict[str, Any], name: str) -> Any:
    """Returns the claim `name`, or None if it is missing. A name with dots can also be a path: `realm_access.roles` is
    the claim of exactly this name if there is one, otherwise the field `roles` of the claim `realm_access`."""
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
