"""The settings of the web adapters: public URL, origins, hosts and WebSockets."""

import re
from ipaddress import ip_address
from typing import Annotated, Final
from urllib.parse import urlsplit

from adapters.web.origins import LOOPBACK, host_of
from domain.setting_declarations import Section, Setting
from domain.setting_parsers import items, whole

_ORIGIN: Final = re.compile(r"https?://[^\s/?#@,]+")
_HOST: Final = re.compile(r"[\w.-]+")
# A host name or IP address (IPv6 in brackets), optionally a port, then the segments of a path. The path may have all
# characters of RFC 3986 except quotes.
_PUBLIC_URL: Final = re.compile(
    r"https?://(?:[a-z0-9_-]+(?:\.[a-z0-9_-]+)*\.?|\[[0-9a-f:.]+\])(?::\d{1,5})?(?:/[a-z0-9._~%!$&()*+,;=:@-]+)*",
    re.IGNORECASE | re.ASCII,
)


def absolute_url(value: str) -> str:
    """Returns an absolute URL in its normal form. Raises ValueError for a URL that is not safe in documents, headers
    and pages: it must be ASCII, and have no query, user name or password."""
    url = value.strip().rstrip("/")
    try:
        parts = urlsplit(url)
        port = parts.port
        if not _PUBLIC_URL.fullmatch(url) or port == 0 or {".", ".."} & set(parts.path.split("/")):
            raise ValueError
    except ValueError:
        raise ValueError(
            "must be http:// or https://, a host and at most a port and a path, such as https://shop.example/herald"
        ) from None
    usual = {"http": 80, "https": 443}[parts.scheme.lower()]
    host = parts.netloc.lower().removesuffix(f":{usual}")
    return f"{parts.scheme.lower()}://{host}{parts.path}"


def origin_list(value: str) -> tuple[str, ...] | None:
    """Returns the origins of a comma-separated list, in lower case, which is how browsers send them. Returns None for
    `*`, which allows all origins. Raises ValueError for an invalid origin."""
    allowed = items(value)
    if allowed == ("*",):
        return None
    for origin in allowed:
        if origin != LOOPBACK and not _ORIGIN.fullmatch(origin):
            raise ValueError(f"must be '*', or origins such as https://shop.example:8443, and {origin!r} is not")
    return tuple(origin.lower() for origin in allowed)


def host_list(value: str) -> tuple[str, ...]:
    """Returns the hosts of a comma-separated list, normalised by `adapters.web.origins.host_of`. `loopback`, and a list
    that is only `*`, are returned unchanged. Raises ValueError for an invalid host."""
    named = items(value)
    if named == ("*",):
        return named
    return tuple(dict.fromkeys(LOOPBACK if name == LOOPBACK else _host(name) for name in named))


def _host(name: str) -> str:
    try:
        # In this setting, brackets around an IPv6 address are optional.
        address = ip_address(name.removeprefix("[").removesuffix("]"))
    except ValueError:
        host = host_of(name) if _HOST.fullmatch(name) else None
    else:
        host = host_of(str(address) if address.version == 4 else f"[{address}]")
    if not host:
        raise ValueError(f"must be '*', or names and addresses of hosts without ports, and {name!r} is not")
    return host


class WebSettings(Section, frozen=True):
    """Public address, origins, hosts and sockets."""

    public_url: Annotated[
        str | None,
        Setting(
            "HERALD_PUBLIC_URL",
            absolute_url,
            "The URL at which clients reach this service, including a path that a gateway strips:"
            " `https://shop.example/herald`. The addresses in Herald's responses begin with it. Its origin and its"
            " host are"
            " always allowed.",
            unset="not set: addresses in responses have no scheme and host",
        ),
    ] = None
    origins: Annotated[
        tuple[str, ...] | None,
        Setting(
            "HERALD_ORIGINS",
            origin_list,
            "The origins of the web pages that may connect, publish and send other requests that change something,"
            " comma"
            " separated; `loopback` for pages of this machine, `*` for all. The cookie is accepted only if origins are"
            " listed here.",
            in_dev="loopback",
            unset="all",
        ),
    ] = None
    hosts: Annotated[
        tuple[str, ...] | None,
        Setting(
            "HERALD_HOSTS",
            host_list,
            "The accepted values of the `Host` header, names and addresses without ports, comma separated; `loopback`"
            " for"
            " `localhost`, `127.0.0.1` and `[::1]`, `*` for all. Health checks (`/health…`) are always accepted.",
            unset="loopback if HERALD_ORIGINS is loopback, else all",
        ),
    ] = None
    max_unauthenticated: Annotated[
        int,
        Setting(
            "HERALD_MAX_PENDING_SOCKETS",
            whole(),
            "The maximum number of sockets on one node that have not yet sent their token in the first frame (each has"
            " 5 s"
            " for it); further ones get 503 with `Retry-After`.",
        ),
    ] = 1000
