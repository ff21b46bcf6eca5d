"""Finds the address that a client connects to (application.live.addresses) by the path of its request."""

from collections.abc import Mapping, Sequence
from urllib.parse import unquote_to_bytes

from application.live.addresses import Address


def find_address(path: bytes, addresses: Sequence[Address]) -> Address | None:
    """Returns the WebSocket address with this path, which is as it was sent: percent-encoded, without the query.
    Returns None if there is none. An address without a path parameter takes precedence."""
    segments = _segments(path)
    matching = [address for address in addresses if address.transport == "ws" and _matches(address, segments)]
    return min(matching, key=lambda address: address.path_parameter is not None, default=None)


def user_in_url(address: Address, path: bytes, query: Mapping[str, str]) -> str | None:
    """Returns the user id in the path or the query of a request to this address; None if the address has no parameter
    for it, or the query lacks it."""
    if address.path_parameter is not None:
        return _segments(path)[-1]
    return query.get(address.query_parameter) if address.query_parameter else None


def _matches(address: Address, segments: list[str]) -> bool:
    own = address.path.split("/")
    if len(segments) != len(own):
        return False
    if address.path_parameter is None:
        return segments == own
    return segments[:-1] == own[:-1] and segments[-1] != ""


def _segments(path: bytes) -> list[str]:
    """Splits a path into its segments and decodes them. So a slash within a segment must be written as `%2F`."""
    return [unquote_to_bytes(segment).decode(errors="replace") for segment in path.removesuffix(b"/").split(b"/")]
