"""The WebSocket address that the client connects to (`wss://herald.example/ws?feeds=news`), made from the URL that the
caller gives (`https://herald.example`)."""

import re
from collections.abc import Sequence
from typing import Final
from urllib.parse import SplitResult, parse_qsl, urlencode, urlsplit, urlunsplit

_SCHEMES: Final = {"http": "ws", "https": "wss", "ws": "ws", "wss": "wss"}

_BEFORE_HOST: Final = re.compile(r"^([^/]*//)[^/]*@")

# The default endpoint. A client of herald.v1 receives the same entries at every endpoint.
PATH: Final = "/ws"

# Paths of endpoints, possibly after a prefix that a gateway strips.
_SOCKET_PATH: Final = re.compile(r"/ws(/notifications|/v2/notification-service/notifications/users/[^/]+)?\Z")


def address(
    url: str, user: str | None = None, feeds: Sequence[str] | None = None, types: Sequence[str] | None = None
) -> str:
    """Returns the WebSocket address to connect to, for the URL of a Herald server.

    `"https://host" -> "wss://host/ws"`; behind a gateway, `"https://host/path" -> "wss://host/path/ws"`. A URL whose
    path is that of a WebSocket endpoint already, such as `wss://host/ws/notifications`, keeps its path, and so does
    every other ws or wss URL with a path. `user`, `feeds` and `types`, if given, are added to the query as `user_id`,
    `feeds` and `types` (lists are joined by commas). Raises ValueError if `url` is not a URL with a host and one of the
    schemes http, https, ws and wss.
    """
    parts = _parts(url.strip())
    if parts is None:
        # Secrets are also removed after a slash, because a password with a slash is one reason why a text is not a URL.
        seen = without_secrets(url).rpartition("@")[2]
        raise ValueError(f"{seen!r} is not a URL with http, https, ws or wss and a host")
    query = parse_qsl(parts.query, keep_blank_values=True)
    asked = {"user_id": user, "feeds": _listed(feeds), "types": _listed(types)}
    query += [(name, value) for name, value in asked.items() if value is not None]
    path = parts.path.rstrip("/")
    if not path or (parts.scheme in ("http", "https") and not _SOCKET_PATH.search(path)):
        path += PATH
    return urlunsplit((_SCHEMES[parts.scheme], parts.netloc, path, urlencode(query), ""))


def with_cursor(address: str, cursor: str) -> str:
    """Returns the WebSocket address with the query parameter `cursor` added."""
    parts = urlsplit(address)
    query = urlencode([*parse_qsl(parts.query, keep_blank_values=True), ("cursor", cursor)])
    return urlunsplit(parts._replace(query=query))


def without_secrets(address: str) -> str:
    """Returns the address without query, user name and password, for messages and logs: `"wss://me:pw@host/ws?cursor=x"
    -> "wss://host/ws"`. Also works for a text that is not a valid URL."""
    return _BEFORE_HOST.sub(r"\1", re.split(r"[?#]", address, maxsplit=1)[0])


def _parts(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        sound = parts.scheme in _SCHEMES and parts.hostname and not parts.fragment and parts.port != 0
    except ValueError:
        return None
    return parts if sound else None


def _listed(names: Sequence[str] | None) -> str | None:
    return ",".join(names) if names is not None else None
