"""Origins and hosts: which pages a browser may connect from, and by which names Herald may be asked."""

import re
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

import msgspec

LOOPBACK: Final = "loopback"

# As in a `Host` header, without a port.
LOOPBACK_HOSTS: Final = ("localhost", "127.0.0.1", "[::1]")

_LOOPBACK_ORIGIN: Final = re.compile(r"https?://(localhost|127\.0\.0\.1|\[::1\])(:\d+)?")
_AUTHORITY: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^:/?#@\[\]\s]+)(?::(\d*))?")
_DEFAULT_PORTS: Final = {"http": "80", "https": "443"}


class Origins(msgspec.Struct, frozen=True):
    """Origins by their exact text (RFC 6454, section 6.2), with `loopback` for every page of this machine's own. None
    allows everyone. `own` is the origin of Herald's public address, which is allowed always."""

    allowed: tuple[str, ...] | None = None
    own: str | None = None

    def allow(self, origin: str | None) -> bool:
        """Whether a request with this Origin header may go on. One without is no browser's. `null`, the origin of
        sandboxed frames and local files, is allowed only where everyone is."""
        if origin is None or self.allowed is None or origin in self.allowed or origin == self.own:
            return True
        return LOOPBACK in self.allowed and _LOOPBACK_ORIGIN.fullmatch(origin) is not None


class Hosts(msgspec.Struct, frozen=True):
    """The names and addresses by which Herald may be asked, normalised by `host_of`. None allows all."""

    allowed: frozenset[str] | None = None

    def allow(self, authority: str | None) -> bool:
        """Whether a request with this Host header may go on. Its port, its case and a trailing dot do not count. None
        is a request without the header, which is refused where hosts are limited."""
        return self.allowed is None or (authority is not None and host_of(authority) in self.allowed)


def host_of(authority: str) -> str | None:
    """The host of `host[:port]`, in lower case and without a trailing dot; an IPv6 address has its brackets and its
    shortest form. None for what is not an authority."""
    found = _AUTHORITY.fullmatch(authority.strip())
    return _normalised(found[1]) if found else None


def same_host(origin: str, authority: str | None) -> bool:
    """Whether a page of this origin was loaded from the host and port of this Host header. The schemes are not
    compared: behind a proxy that ends TLS, Herald does not know its own."""
    scheme, separator, rest = origin.partition("://")
    page, asked = _AUTHORITY.fullmatch(rest), _AUTHORITY.fullmatch((authority or "").strip())
    if not separator or page is None or asked is None:
        return False
    default = _DEFAULT_PORTS.get(scheme)
    return _normalised(page[1]) == _normalised(asked[1]) and (page[2] or default) == (asked[2] or default)


def origin_of(url: str) -> str:
    """The origin of pages at an absolute http or https URL, as browsers send it."""
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
