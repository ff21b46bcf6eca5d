"""The settings of the web adapters (public URL, origins, hosts, WebSockets), and the functions that parse them."""

import re
from ipaddress import ip_address
from typing import Annotated, Final
from urllib.parse import urlsplit

from adapters.web.origins_and_hosts import LOOPBACK, host_of
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
    """Parses an absolute URL and returns it without a slash at its end, without the default port, and with scheme and
    host in lower case: `"HTTPS://Shop.example:443/herald/"` -> `"https://shop.example/herald"`. Raises ValueError
    unless it is an http or https URL in ASCII that has only host, port and path, and no dot segments."""
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
    """Parses a comma-separated list of origins, and returns them in lower case, as browsers send them. `loopback` may
    be in the list. Returns None for `*`, which allows all origins. Raises ValueError for an invalid origin."""
    allowed = items(value)
    if allowed == ("*",):
        return None
    for origin in allowed:
        if origin != LOOPBACK and not _ORIGIN.fullmatch(origin):
            raise ValueError(f"must be '*', or origins such as https://shop.example:8443, and {origin!r} is not")
    return tuple(origin.lower() for origin in allowed)


def host_list(value: str) -> tuple[str, ...]:
    """Parses a comma-separated list of host names and IP addresses, and returns them without duplicates, in the form
    that `adapters.web.origins_and_hosts.host_of` returns. `loopback` in the list, and `*` alone, are returned
    unchanged. Raises ValueError for an invalid host, such as one with a port."""
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
    """Public URL, allowed origins and hosts, and WebSockets."""

    public_url: Annotated[
        str | None,
        Setting(
            "HERALD_PUBLIC_URL",
            absolute_url,
            "The URL at which clients reach this service, including a path that a gateway strips:"
            " `https://shop.example/herald`. The addresses in Herald's responses begin with it. Its origin and its"
            " host are always allowed.",
            unset="not set: addresses in responses have no scheme and host",
        ),
    ] = None
    origins: Annotated[
        tuple[str, ...] | None,
        Setting(
            "HERALD_ORIGINS",
            origin_list,
            "The origins of the web pages that may connect, publish and send other requests that change something,"
            " comma separated; `loopback` for pages of this machine, `*` for all. The cookie is accepted only if"
            " origins are listed here.",
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
            " for `localhost`, `127.0.0.1` and `[::1]`, `*` for all. Health checks (`/health…`) are always accepted.",
            unset="loopback if HERALD_ORIGINS is loopback, else all",
        ),
    ] = None
    max_unauthenticated: Annotated[
        int,
        Setting(
            "HERALD_MAX_PENDING_SOCKETS",
            whole(),
            "The maximum number of sockets on one node that have not yet sent their token in the first frame (each has"
            " 5 s for it); further ones get 503 with `Retry-After`.",
        ),
    ] = 1000
