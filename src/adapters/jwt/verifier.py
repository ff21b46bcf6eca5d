"""Verifies JSON Web Tokens (RFC 7519) with PyJWT. Follows the best practices of RFC 8725."""

import time
from collections.abc import Callable, Sequence
from typing import Any, Final

import jwt
import msgspec
import structlog
from jwt.types import Options

from adapters.jwt.claims import identity_of, token_id_of
from adapters.jwt.key_cache import PACE, KeyServer, Pace
from adapters.jwt.keys import Key, configured_key
from adapters.jwt.settings import JwtSettings
from domain.caller_errors import TokenInvalid
from domain.identity import Identity

log = structlog.get_logger(__name__)

# Maximum length of a token in characters. Tokens are sent in headers, which servers limit to 8 to 16 KB. Longer tokens
# are refused before they are decoded.
MAX_TOKEN_LENGTH: Final = 16_384


class JwtVerifier:
    """Implements the port TokenVerifier: verifies a token and returns the identity that it contains. The key is set by
    HERALD_JWT_SECRET, HERALD_JWT_PUBLIC_KEY or HERALD_JWT_JWKS_URL.

    With HERALD_JWT_JWKS_URL, `verify` fetches the issuer's keys if the key of the token is not among those fetched
    before, and raises Unavailable if that is impossible now (see KeyServer.find). The constructor raises ValueError if
    the settings are invalid or unsafe. `clock` returns the time in seconds since 1970; `monotonic` returns the seconds
    by which the intervals of `pace` are measured.
    """

    def __init__(
        self,
        settings: JwtSettings,
        clock: Callable[[], float] = time.time,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        pace: Pace = PACE,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._keys = configured_key(settings) or KeyServer(settings, monotonic, pace)
        # identity_of checks these claims instead: PyJWT would use the machine's clock, and reject a number as `sub`.
        self._options: Options = {
            "verify_exp": False,
            "verify_nbf": False,
            "verify_iat": False,
            "verify_sub": False,
            "verify_jti": False,
            "verify_aud": bool(settings.audience),
        }

    async def verify(self, token: str) -> Identity:
        # Checked because annotations are not enforced at run time, and PyJWT would accept bytes.
        if not isinstance(token, str) or len(token) > MAX_TOKEN_LENGTH:
            raise TokenInvalid
        keys = self._keys
        candidates = (keys,) if isinstance(keys, Key) else await keys.find(*_unverified_header(token))
        claims = self._claims(token, candidates)
        identity = identity_of(claims, self._clock(), self._settings.leeway, self._settings.scope_claims)
        return msgspec.structs.replace(identity, token_id=token_id_of(claims, token))

    def start(self) -> None:
        if isinstance(self._keys, KeyServer):
            self._keys.start()

    @property
    def fault(self) -> str | None:
        return self._keys.fault if isinstance(self._keys, KeyServer) else None

    async def close(self) -> None:
        """Ends the background fetches of keys, if there are any. May be called more than once."""
        if isinstance(self._keys, KeyServer):
            await self._keys.close()

    def _claims(self, token: str, candidates: Sequence[Key]) -> dict[str, Any]:
        """Returns the claims of the token if one of the `candidates` (keys) verifies its signature and its audience and
        issuer are the configured ones. Otherwise raises TokenInvalid, which has a reason only if the signature is
        valid."""
        reason = None
        for key in candidates:
            try:
                return jwt.decode(
                    token,
                    key=key.material,
                    algorithms=key.algorithms,
                    options=self._options,
                    audience=self._settings.audience,
                    issuer=self._settings.issuer or None,
                )
            except jwt.InvalidAudienceError:
                reason = "The token is for another audience."
            except jwt.InvalidIssuerError:
                reason = "The token is from another issuer."
            except jwt.MissingRequiredClaimError as missing:
                reason = f"The token has no {missing.claim}."
            except Exception as error:  # A forged token can cause exceptions of any kind in parsers.
                log.debug("jwt_refused", error=type(error).__name__)
        # Raised outside of `except`, so that the exception of a parser, whose text may contain the token, is not its
        # context.
        raise TokenInvalid(reason)


def _unverified_header(token: str) -> tuple[str, str | None]:
    """Returns `alg` and `kid` of the token's header, without verifying the token. Raises TokenInvalid if the header
    can't be decoded or has no `alg`."""
    header: dict[str, Any] = {}
    try:
        header = jwt.get_unverified_header(token)
    except Exception as error:  # of any kind: see _claims
        log.debug("jwt_refused", error=type(error).__name__)
    algorithm = header.get("alg")
    if not isinstance(algorithm, str):
        raise TokenInvalid
    return algorithm, header.get("kid")
