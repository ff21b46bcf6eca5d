"""Allowed origins (from which pages browsers may connect) and hosts (the host names that requests may be sent to)."""

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
    """The allowed origins. They are compared as text (RFC 6454, section 6.2). `loopback` in the list stands for all
    pages of this machine; None allows all origins. `own` is the origin of Herald's public URL, which is always
    allowed."""

    allowed: tuple[str, ...] | None = None
    own: str | None = None

    def allow(self, origin: str | None) -> bool:
        """Returns whether a request with this Origin header is allowed. A request without the header (None) is allowed,
        because it was not sent by a page in a browser. `null`, the origin of sandboxed frames and local files, is
        allowed only if all origins are allowed."""
        if origin is None or self.allowed is None or origin in self.allowed or origin == self.own:
            return True
        return LOOPBACK in self.allowed and _LOOPBACK_ORIGIN.fullmatch(origin) is not None


class Hosts(msgspec.Struct, frozen=True):
    """The host names and IP addresses that requests may be sent to, normalised by `host_of`. None allows all."""

    allowed: frozenset[str] | None = None

    def allow(self, authority: str | None) -> bool:
        """Returns whether a request with this Host header is allowed. Port, case and a trailing dot are ignored. A
        request without the header (None) is allowed only if all hosts are allowed."""
        return self.allowed is None or (authority is not None and host_of(authority) in self.allowed)


def host_of(authority: str) -> str | None:
    """Returns the host of `host[:port]`, in lower case and without a trailing dot; an IPv6 address in brackets and in
    its shortest form. Returns None if the text does not have the form `host[:port]`."""
    found = _AUTHORITY.fullmatch(authority.strip())
    return _normalised(found[1]) if found else None


def same_host(origin: str, authority: str | None) -> bool:
    """Returns whether a page of this origin was loaded from the host and port of this Host header. Schemes are not
    compared: behind a proxy that terminates TLS, Herald can't determine the scheme that the browser uses."""
    scheme, separator, rest = origin.partition("://")
    page, asked = _AUTHORITY.fullmatch(rest), _AUTHORITY.fullmatch((authority or "").strip())
    if not separator or page is None or asked is None:
        return False
    default = _DEFAULT_PORTS.get(scheme)
    return _normalised(page[1]) == _normalised(asked[1]) and (page[2] or default) == (asked[2] or default)


def origin_of(url: str) -> str:
    """Returns the origin of pages at an absolute http or https URL, in the form that browsers send in `Origin`."""
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
