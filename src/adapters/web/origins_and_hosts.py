"""Checks the `Origin` header, which names the origin of the page for which a browser sends a request, and the `Host`
header, which names the host that the request is sent to."""

import re
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

import msgspec

LOOPBACK: Final = "loopback"

# The host names of this machine, in the form that they have in a `Host` header, without a port.
LOOPBACK_HOSTS: Final = ("localhost", "127.0.0.1", "[::1]")

_LOOPBACK_ORIGIN: Final = re.compile(r"https?://(localhost|127\.0\.0\.1|\[::1\])(:\d+)?")
_AUTHORITY: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^:/?#@\[\]\s]+)(?::(\d*))?")
_DEFAULT_PORTS: Final = {"http": "80", "https": "443"}


class Origins(msgspec.Struct, frozen=True):
    """The origins of pages that are allowed to connect and to change something: those in `allowed`, or all if it is
    None. The element `loopback` stands for all http and https origins of this machine (`localhost`, `127.0.0.1`,
    `[::1]`), with any port. `own` is the origin of Herald's public URL, which is always allowed."""

    allowed: tuple[str, ...] | None = None
    own: str | None = None

    def allow(self, origin: str | None) -> bool:
        """Returns whether a request with this `Origin` header is allowed. None (no such header) is allowed, because
        browsers send the header for pages of other origins. "null", the origin of sandboxed frames and local files, is
        allowed only if all origins are."""
        if origin is None or self.allowed is None or origin in self.allowed or origin == self.own:
            return True
        return LOOPBACK in self.allowed and _LOOPBACK_ORIGIN.fullmatch(origin) is not None


class Hosts(msgspec.Struct, frozen=True):
    """The host names and IP addresses that requests may be sent to, in the form that `host_of` returns. If `allowed` is
    None, all are allowed."""

    allowed: frozenset[str] | None = None

    def allow(self, authority: str | None) -> bool:
        """Returns whether a request with this `Host` header is allowed. Port, case and a trailing dot are ignored. None
        (no such header) is allowed only if all hosts are."""
        return self.allowed is None or (authority is not None and host_of(authority) in self.allowed)


def host_of(authority: str) -> str | None:
    """Returns the host in a `Host` header, without port and trailing dot, in lower case: `"Shop.example.:8000"` ->
    `"shop.example"`. An IPv6 address is in brackets and in its shortest form: `"[0::1]:80"` -> `"[::1]"`. Returns None
    if the text does not have the form `host` or `host:port`."""
    found = _AUTHORITY.fullmatch(authority.strip())
    return _normalised(found[1]) if found else None


def same_host(origin: str, authority: str | None) -> bool:
    """Returns whether the `Origin` header `origin` has the host and port of the `Host` header `authority`, which means
    that the page was loaded from Herald itself. A missing port in either is the default port of the origin's scheme."""
    # The schemes can't be compared: behind a proxy that terminates TLS, Herald does not see the browser's scheme.
    scheme, separator, rest = origin.partition("://")
    page, asked = _AUTHORITY.fullmatch(rest), _AUTHORITY.fullmatch((authority or "").strip())
    if not separator or page is None or asked is None:
        return False
    default = _DEFAULT_PORTS.get(scheme)
    return _normalised(page[1]) == _normalised(asked[1]) and (page[2] or default) == (asked[2] or default)


def origin_of(url: str) -> str:
    """Returns the origin of an absolute http or https URL, as browsers send it in the `Origin` header:
    `"https://shop.example:443/herald"` -> `"https://shop.example"`."""
    parts = urlsplit(url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    port = "" if parts.port is None or str(parts.port) == _DEFAULT_PORTS.get(parts.scheme) else f":{parts.port}"
    return f"{parts.scheme}://{host}{port}"


def _normalised(host: str) -> str:
    if host.startswith("["):
        try:
            return f"[{ip_address(host[1:-1])}]"
        except ValueError:
            return host.lower()
    return host.lower().removesuffix(".")
