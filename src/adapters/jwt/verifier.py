"""Verifies JSON Web Tokens (RFC 7519) with PyJWT, by the current best practices (RFC 8725)."""

import time
from collections.abc import Callable, Sequence
from typing import Any, Final

import jwt
import msgspec
import structlog
from jwt.types import Options

from adapters.jwt.claims import identity_of, token_id_of
from adapters.jwt.key_server import PACE, KeyServer, Pace
from adapters.jwt.keys import Key, configured_key
from adapters.jwt.settings import JwtSettings
from domain.errors import TokenInvalid
from domain.identity import Identity

log = structlog.get_logger(__name__)

# Tokens travel in headers, which servers bound at 8 to 16 KB. Longer ones are refused before anything is read.
LONGEST_TOKEN: Final = 16_384


class JwtVerifier:
    """A TokenVerifier for tokens signed with a secret, a public key's private half, or a key from a JWKS URL.

    Construction raises ValueError, naming the setting, for settings that can't be right or safe. `clock` gives seconds
    since 1970, `monotonic` those that the `pace` of fetches is kept by. Only a token whose key is not at hand waits for
    anything. It is Unavailable as long as its key can't be looked up (see KeyServer.find).
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
        # identity_of looks at these: PyJWT reads the machine's clock, and takes no number for a `sub`.
        self._options: Options = {
            "verify_exp": False,
            "verify_nbf": False,
            "verify_iat": False,
            "verify_sub": False,
            "verify_jti": False,
            "verify_aud": bool(settings.audience),
        }

    async def verify(self, token: str) -> Identity:
        # No annotation keeps bytes out, and PyJWT would take them.
        if not isinstance(token, str) or len(token) > LONGEST_TOKEN:
            raise TokenInvalid
        keys = self._keys
        candidates = (keys,) if isinstance(keys, Key) else await keys.find(*_key_wanted(token))
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
        """Ends what runs in the background. Safe to call more than once."""
        if isinstance(self._keys, KeyServer):
            await self._keys.close()

    def _claims(self, token: str, candidates: Sequence[Key]) -> dict[str, Any]:
        """The claims of a token that one of the keys signed for our audience by our issuer.

        A refusal says why only if the signature was good.
        """
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
                reason = "The token is by another issuer."
            except jwt.MissingRequiredClaimError as missing:
                reason = f"The token has no {missing.claim}."
            except Exception as error:  # Whatever a forged token makes parsers and libraries raise, it is not valid.
                log.debug("jwt_refused", error=type(error).__name__)
        # Raised out here, so that what a parser raised, with the token's text in it, is not even its context.
        raise TokenInvalid(reason)


def _key_wanted(token: str) -> tuple[str, str | None]:
    """The `alg` and `kid` of a header not yet to be believed; TokenInvalid if these can't be read."""
    header: dict[str, Any] = {}
    try:
        header = jwt.get_unverified_header(token)
    except Exception as error:  # as in _claims
        log.debug("jwt_refused", error=type(error).__name__)
    algorithm = header.get("alg")
    if not isinstance(algorithm, str):
        raise TokenInvalid
    return algorithm, header.get("kid")
