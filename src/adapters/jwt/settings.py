"""What the verifier of tokens is told by the environment."""

import msgspec


class JwtSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where the key is, and what a token must say beside being signed by it.

    Exactly one of `secret` (HERALD_JWT_SECRET: the text itself, not base64 of it), `public_key`
    (HERALD_JWT_PUBLIC_KEY: PEM text) and `jwks_url` (HERALD_JWT_JWKS_URL). `cafile`
    (HERALD_JWT_CAFILE) is a file with the authorities to believe for that URL; without it, the usual ones.
    `algorithms` (HERALD_JWT_ALGORITHMS) narrows
    those that the key can be used with; empty is all of them. Without `audience` any `aud` is taken, without `issuer`
    any `iss`. An empty text counts as not set. `scope_claims` (HERALD_JWT_SCOPE_CLAIMS) are claims with scopes beside
    `scope`, `scp` and `permissions`. `leeway` is by how many seconds the issuer's clock and ours may differ
    (RFC 7519 section 4.1.4 allows "a few minutes"; clocks that are kept in step need less than these ten seconds).
    """

    secret: str | None = None
    public_key: str | None = None
    jwks_url: str | None = None
    cafile: str | None = None
    algorithms: tuple[str, ...] = ()
    audience: str | None = None
    issuer: str | None = None
    scope_claims: tuple[str, ...] = ()
    leeway: float = 10.0

    def __repr__(self) -> str:
        """Without the secret: settings find their way into logs."""
        key = "secret" if self.secret else "public_key" if self.public_key else "jwks_url"
        return f"JwtSettings({key}=…, algorithms={self.algorithms}, audience={self.audience!r}, issuer={self.issuer!r})"
