"""The settings for verifying tokens."""

from typing import Annotated

from adapters.path_setting_parsers import certificates, pem
from domain.setting_declarations import Section, Setting
from domain.setting_parsers import http_url, items, text, verbatim


class JwtSettings(Section, frozen=True, kw_only=True):
    """Tokens: the key that verifies them, and the claims that they must have.

    At most one of `secret`, `public_key` and `jwks_url` may be set; empty text counts as not set. `secret` is used as
    it is, without decoding base64. `leeway` is the tolerated difference, in seconds, between the clocks of the issuer
    and of this machine (RFC 7519, section 4.1.4, allows "a few minutes"; synchronised clocks differ by less than 10 s).
    """

    secret: Annotated[
        str | None,
        Setting(
            "HERALD_JWT_SECRET",
            verbatim,
            "The secret that tokens are signed with (HS256, HS384 or HS512). Set only one of HERALD_JWT_SECRET,"
            " HERALD_JWT_PUBLIC_KEY and HERALD_JWT_JWKS_URL.",
            secret=True,
        ),
    ] = None
    public_key: Annotated[
        str | None,
        Setting(
            "HERALD_JWT_PUBLIC_KEY",
            pem,
            "The public key that verifies the signatures of tokens: PEM text, or the path of a PEM file.",
        ),
    ] = None
    jwks_url: Annotated[
        str | None,
        Setting(
            "HERALD_JWT_JWKS_URL",
            http_url,
            "The URL of a JWK set: the public keys that verify the signatures of tokens.",
        ),
    ] = None
    cafile: Annotated[
        str | None,
        Setting(
            "HERALD_JWT_CAFILE",
            certificates,
            "A PEM file with the certificate authorities that are trusted for HERALD_JWT_JWKS_URL.",
            unset="the system's authorities",
        ),
    ] = None
    algorithms: Annotated[
        tuple[str, ...],
        Setting(
            "HERALD_JWT_ALGORITHMS",
            items,
            "The accepted signature algorithms, comma separated.",
            unset="all that the key supports",
        ),
    ] = ()
    audience: Annotated[
        str | None, Setting("HERALD_JWT_AUDIENCE", text, "The required `aud` claim of tokens.", unset="any")
    ] = None
    issuer: Annotated[
        str | None, Setting("HERALD_JWT_ISSUER", text, "The required `iss` claim of tokens.", unset="any")
    ] = None
    user_claim: Annotated[
        str,
        Setting(
            "HERALD_JWT_USER_CLAIM",
            text,
            "The claim that contains the user's id, such as `preferred_username`, `oid` or"
            " `https://shop.example/user_id`. A dot selects a field of an object, if there is no claim of exactly this"
            " name.",
        ),
    ] = "sub"
    scope_claims: Annotated[
        tuple[str, ...],
        Setting(
            "HERALD_JWT_SCOPE_CLAIMS",
            items,
            "Additional claims that contain scopes, comma separated. A dot selects a field of an object:"
            " `realm_access.roles`.",
            unset="only `scope`, `scp` and `permissions`",
        ),
    ] = ()
    leeway: float = 10.0

    def check(self) -> None:
        keys = {"SECRET": self.secret, "PUBLIC_KEY": self.public_key, "JWKS_URL": self.jwks_url}
        set_keys = [f"HERALD_JWT_{name}" for name, value in keys.items() if value]
        if len(set_keys) > 1:
            raise ValueError(
                f"{' and '.join(set_keys)} are set: tokens are verified by one kind of key, so set one of them."
            )
        if self.cafile and not (self.jwks_url or "").startswith("https:"):
            raise ValueError(
                "HERALD_JWT_CAFILE is set, and HERALD_JWT_JWKS_URL does not begin with https://: it has no effect."
            )

    @property
    def has_key(self) -> bool:
        return bool(self.secret or self.public_key or self.jwks_url)
