"""Converts the claims of a token to an identity. The caller, JwtVerifier, has verified the token's signature before;
audience, issuer, user, scopes and times are checked here."""

from hashlib import sha256
from typing import Any, Final

from adapters.jwt.refusal import TokenRefused, shown, shown_time
from adapters.jwt.settings import JwtSettings
from domain.identity import Identity
from domain.user_ids import MAX_USER_LENGTH, as_user

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

_A_USER: Final = f"text or a whole number, of 1 to {MAX_USER_LENGTH} printable characters"


def identity_of(claims: dict[str, Any], now: float, settings: JwtSettings) -> Identity:
    """Returns the identity that the claims of a token describe: user, scopes, and the times of issue and expiry. `now`
    is the current time in seconds since 1970.

    The claim `settings.user_claim` is the user and must be a valid user id; a whole number is converted to text. The
    scopes are those of the claims `scope`, `scp` and `permissions` and of the claims named by `settings.scope_claims`.
    Each of these claims is either text with scopes separated by spaces (RFC 8693, section 4.2) or a list of scopes.
    `exp`, `nbf` and `iat` may be missing.

    Raises TokenRefused if one of these claims is invalid (except `scp` and `permissions`, which are ignored then), if
    audience or issuer are not those of the settings, if `nbf` or `iat` is in the future, or if all claims are valid but
    `exp` has passed.
    """
    _check_audience_and_issuer(claims, settings)
    user = _user(claims, settings.user_claim)
    scopes = _scopes(claims, settings.scope_claims)
    issued_at, begins_at, expires_at = (_time(claims, name) for name in ("iat", "nbf", "exp"))
    # A sign-out invalidates the tokens issued until then. A token with a later time of issue would remain valid.
    for name, begins in (("iat", issued_at), ("nbf", begins_at)):
        if begins is not None and begins > now + settings.leeway:
            raise TokenRefused("not_valid_yet", name, shown_time(begins), shown_time(now))
    if expires_at is not None and expires_at <= now - settings.leeway:
        raise TokenRefused("expired", "exp", shown_time(expires_at), shown_time(now))
    return Identity(user=user, scopes=scopes, issued_at=issued_at, expires_at=expires_at)


def token_id_of(claims: dict[str, Any], token: str) -> str:
    """Returns an id of the token, for the rate limit of the token: its claim `jti` if that is printable text of 1 to
    128 characters, otherwise the first 32 hexadecimal digits of the token's SHA-256 hash."""
    jti = claims.get("jti")
    if isinstance(jti, str) and 0 < len(jti) <= _LONGEST_ID and jti.isprintable():
        return jti
    return sha256(token.encode(errors="replace")).hexdigest()[:_HASH_DIGITS]


def _check_audience_and_issuer(claims: dict[str, Any], settings: JwtSettings) -> None:
    """Checks `aud` and `iss` against HERALD_JWT_AUDIENCE and HERALD_JWT_ISSUER, if these are set. `aud` is text or a
    list of texts (RFC 7519, section 4.1.3), one of which must be the configured audience. Raises TokenRefused."""
    if settings.audience:
        audience = claims.get("aud")
        if not audience:
            raise TokenRefused("missing_claim", "aud", wants=f"{shown(settings.audience)} (HERALD_JWT_AUDIENCE)")
        audiences = audience if isinstance(audience, list) else [audience]
        if settings.audience not in audiences or not all(isinstance(one, str) for one in audiences):
            raise TokenRefused("wrong_audience", "aud", shown(audience), shown(settings.audience))
    if settings.issuer:
        if "iss" not in claims:
            raise TokenRefused("missing_claim", "iss", wants=f"{shown(settings.issuer)} (HERALD_JWT_ISSUER)")
        if claims["iss"] != settings.issuer:
            raise TokenRefused("wrong_issuer", "iss", shown(claims["iss"]), shown(settings.issuer))


def _user(claims: dict[str, Any], name: str) -> str:
    value = _claim_by_path(claims, name)
    if value is None:
        raise TokenRefused("missing_claim", name, wants="the user's id (HERALD_JWT_USER_CLAIM)")
    user = as_user(value)
    if user is None:
        raise TokenRefused("invalid_user", name, shown(value), _A_USER)
    return user


def _time(claims: dict[str, Any], name: str) -> float | None:
    """Returns the time in the claim `name` in seconds since 1970 (a NumericDate, RFC 7519, section 2), or None if the
    claim is missing. Raises TokenRefused if the claim is not a number, is negative, or is later than the year 9999."""
    if name not in claims:
        return None
    value = claims[name]
    if type(value) in (int, float) and 0 <= value <= _END_OF_TIME:  # this excludes NaN and bool
        return float(value)
    raise TokenRefused("invalid_time", name, shown(value), "a number of seconds since 1970")


def _scopes(claims: dict[str, Any], configured: tuple[str, ...]) -> frozenset[str]:
    """Returns the scopes of a token: those in its claims `scope`, `scp` and `permissions` and in the `configured`
    claims (HERALD_JWT_SCOPE_CLAIMS). Raises TokenRefused if `scope` or a configured claim is neither text nor a list of
    texts. Ignores `scp` or `permissions` if they are neither."""
    found: set[str] = set()
    for name in ("scope", *configured):
        value = _claim_by_path(claims, name)
        scopes = _scopes_in(value)
        if scopes is None and value is not None:
            raise TokenRefused("invalid_scopes", name, shown(value), "text, or a list of texts")
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
