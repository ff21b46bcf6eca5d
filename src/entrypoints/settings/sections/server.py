"""What is served, where, and to whom."""

from typing import Annotated, Literal

import msgspec

from entrypoints.settings import parsers
from entrypoints.settings.field import Setting
from entrypoints.settings.parsers import choice, items, seconds, text, verbatim


class ServerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What is served, where, and to whom."""

    profile: Annotated[
        tuple[str, ...], Setting("HERALD_PROFILE", items, "The profiles to load, comma separated.", "all")
    ]
    routes: Annotated[
        str | None, Setting("HERALD_ROUTES", text, "A routes file to load in place of the shipped profiles.")
    ]
    host: Annotated[
        str,
        Setting("HERALD_HOST WS_HOST", text, "The address to listen on, or its name.", "0.0.0.0", in_dev="127.0.0.1"),  # noqa: S104 - a server's default
    ]
    port: Annotated[int, Setting("HERALD_PORT PORT WS_PORT", parsers.port, "The port to listen on.", "8000")]
    public_url: Annotated[
        str | None,
        Setting(
            "HERALD_PUBLIC_URL",
            parsers.public_url,
            "The URL at which clients reach this service, with the path that a gateway strips:"
            " `https://shop.example/herald`. All addresses that Herald gives out begin with it; its origin and host are"
            " always allowed.",
            unset="addresses without scheme and host",
        ),
    ]
    keep_alive_seconds: Annotated[
        float,
        Setting(
            "HERALD_KEEP_ALIVE_SECONDS",
            seconds,
            "How long an idle connection is kept for its next request. Proxies in front must give up earlier.",
            "75",
        ),
    ]
    http2: Annotated[
        Literal["on", "off"],
        Setting(
            "HERALD_HTTP2",
            choice("on", "off"),
            "`on` speaks HTTP/2 without TLS as well (h2c), with clients that begin with it.",
            "off",
        ),
    ]
    origins: Annotated[
        tuple[str, ...] | None,
        Setting(
            "HERALD_ORIGINS",
            parsers.origins,
            "Whose pages may connect, publish and change things: origins, comma separated; `loopback` for this"
            " machine's own, `*` for everyone's. The cookie is only taken where this is a list.",
            "*",
            in_dev="loopback",
            unset="everyone",
        ),
    ]
    hosts: Annotated[
        tuple[str, ...] | None,
        Setting(
            "HERALD_HOSTS",
            parsers.hosts,
            "The names and addresses that the `Host` header may have, comma separated, without ports; `loopback` for"
            " `localhost`, `127.0.0.1` and `[::1]`, `*` for all. Health checks are exempt.",
            unset="loopback where HERALD_ORIGINS is loopback, else all",
        ),
    ]

    auth: Annotated[
        Literal["jwt", "open"],
        Setting(
            "HERALD_AUTH",
            choice("jwt", "open"),
            "`jwt` believes signed tokens, `open` believes every `user_id`.",
            "jwt",
            in_dev="open",
        ),
    ]
    jwt_secret: Annotated[
        str | None,
        Setting("HERALD_JWT_SECRET", verbatim, "The secret that tokens are signed with (HS256, …).", secret=True),
    ]
    jwt_public_key: Annotated[
        str | None,
        Setting("HERALD_JWT_PUBLIC_KEY", parsers.pem, "The public key of tokens: PEM text, or the path of its file."),
    ]
    jwt_jwks_url: Annotated[
        str | None, Setting("HERALD_JWT_JWKS_URL", parsers.http_url, "Where the public keys of tokens are published.")
    ]
    jwt_cafile: Annotated[
        str | None,
        Setting(
            "HERALD_JWT_CAFILE",
            parsers.certificates,
            "The authorities to believe for HERALD_JWT_JWKS_URL, as the path of a file.",
            unset="the usual ones",
        ),
    ]
    jwt_algorithms: Annotated[
        tuple[str, ...],
        Setting(
            "HERALD_JWT_ALGORITHMS", items, "The algorithms to accept, comma separated.", "", unset="all of the key's"
        ),
    ]
    jwt_audience: Annotated[
        str | None, Setting("HERALD_JWT_AUDIENCE", text, "The `aud` that tokens must have.", unset="any")
    ]
    jwt_issuer: Annotated[
        str | None, Setting("HERALD_JWT_ISSUER", text, "The `iss` that tokens must have.", unset="any")
    ]
    jwt_scope_claims: Annotated[
        tuple[str, ...],
        Setting(
            "HERALD_JWT_SCOPE_CLAIMS",
            items,
            "More claims with scopes, comma separated; dots lead into objects: `realm_access.roles`.",
            "",
            unset="only `scope`, `scp` and `permissions`",
        ),
    ]
