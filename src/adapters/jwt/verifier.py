"""Verifies JSON Web Tokens (RFC 7519) with PyJWT. Follows the best practices of RFC 8725."""

import contextlib
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

import jwt
import msgspec
import structlog
from jwt.types import Options

from adapters.jwt.claims import identity_of, token_id_of
from adapters.jwt.key_cache import PACE, KeyServer, Pace
from adapters.jwt.keys import Key, check_algorithm, configured_key
from adapters.jwt.refusal import Refusal, TokenRefused
from adapters.jwt.settings import JwtSettings
from domain.caller_errors import TokenExpired, TokenInvalid
from domain.identity import Identity

log = structlog.get_logger(__name__)

# Maximum length of a token in characters. Tokens are sent in headers, which servers limit to 8 to 16 KB. Longer tokens
# are refused before they are decoded.
MAX_TOKEN_LENGTH: Final = 16_384

# PyJWT verifies only the signature. identity_of checks the claims: PyJWT would use the machine's clock, reject a number
# as `sub`, and not say what a refused claim contains.
_SIGNATURE_ONLY: Final[Options] = {
    "verify_exp": False,
    "verify_nbf": False,
    "verify_iat": False,
    "verify_sub": False,
    "verify_jti": False,
    "verify_aud": False,
    "verify_iss": False,
}


class Accepted(msgspec.Struct, frozen=True):
    """A token that is accepted: the identity that it gives its caller, and all its claims."""

    identity: Identity
    claims: dict[str, Any]


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

    async def verify(self, token: str) -> Identity:
        examined = await self.examine(token)
        if isinstance(examined, Accepted):
            return examined.identity
        log.debug("jwt_refused", error=examined.code)
        raise TokenExpired if examined.code == "expired" else TokenInvalid(examined.public)

    async def examine(self, token: str) -> Accepted | Refusal:
        """Verifies a token and returns the identity and the claims that it contains, or the reason why it is refused.
        Raises Unavailable if the key of the token is unknown and can't be fetched now. `verify` does the same, but
        tells callers less about the reason."""
        try:
            claims = await self._verified_claims(token)
            identity = identity_of(claims, self._clock(), self._settings)
        except TokenRefused as refused:
            return refused.refusal
        return Accepted(msgspec.structs.replace(identity, token_id=token_id_of(claims, token)), claims)

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

    async def _verified_claims(self, token: str) -> dict[str, Any]:
        """Returns the claims of a token whose signature is verified. Otherwise raises TokenRefused or Unavailable."""
        # Checked because annotations are not enforced at run time, and PyJWT would accept bytes.
        if not isinstance(token, str):
            raise TokenRefused("not_a_jwt", has="it is not text")
        if len(token) > MAX_TOKEN_LENGTH:
            raise TokenRefused("too_long", has=f"{len(token)}", wants=f"{MAX_TOKEN_LENGTH}")
        algorithm, kid = _unverified_header(token)
        keys = self._keys
        if isinstance(keys, Key):
            check_algorithm(algorithm, keys.algorithms)
            return self._claims(token, (keys,))
        return self._claims(token, await keys.find(algorithm, kid))

    def _claims(self, token: str, candidates: Sequence[Key]) -> dict[str, Any]:
        """Returns the claims of the token if one of the `candidates` (keys) verifies its signature. Otherwise raises
        TokenRefused."""
        refused = TokenRefused("wrong_signature")
        for key in candidates:
            try:
                return jwt.decode(token, key=key.material, algorithms=key.algorithms, options=_SIGNATURE_ONLY)
            except jwt.InvalidSignatureError:
                continue
            except Exception as error:  # A forged token can cause exceptions of any kind in parsers.
                refused = TokenRefused(
                    "not_a_jwt", has=_fault_of_form(token, f"it can't be decoded ({type(error).__name__})")
                )
        # Raised outside of `except`, so that the exception of a parser, whose text may contain the token, is not its
        # context.
        raise refused


def _unverified_header(token: str) -> tuple[str, str | None]:
    """Returns `alg` and `kid` of the token's header, without verifying the token. Raises TokenRefused if the header
    can't be decoded or has no `alg`."""
    header = _decoded_header(token)
    algorithm = header.get("alg")
    if not isinstance(algorithm, str):
        # With the first part alone, the fault is in the others.
        has_header = isinstance(_decoded_header(f"{token.partition('.')[0]}.e30.e30").get("alg"), str)
        fault = (
            "its second or third part is not base64url, so it was cut or changed on its way"
            if has_header
            else "its first part is not a header with an algorithm (`alg`)"
        )
        raise TokenRefused("not_a_jwt", has=_fault_of_form(token, fault))
    return algorithm, header.get("kid")


def _decoded_header(token: str) -> dict[str, Any]:
    """Returns the header of a token, without verifying the token; an empty one if it can't be decoded."""
    with contextlib.suppress(Exception):  # of any kind: see _claims
        return jwt.get_unverified_header(token)
    return {}


def _fault_of_form(token: str, otherwise: str) -> str:
    """Returns what is wrong with the form of a token that can't be decoded; `otherwise` if it has the form of a JWT."""
    parts = token.count(".") + 1
    if any(character.isspace() for character in token):
        return "it contains spaces or line breaks"
    if parts == 5:
        return "it has 5 parts, so it is encrypted (JWE)"
    if parts != 3:
        return f"the number of its parts, separated by dots, is {parts} instead of 3"
    return otherwise
