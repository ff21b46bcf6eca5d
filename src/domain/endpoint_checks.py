"""Checks of endpoints: of one by itself, and of those that are to be served together."""

import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec

from domain.endpoints import HERALD_V1_PATHS, HERALD_V1_USER, RESERVED_SEGMENTS, USER_PLACE, Endpoint, by_path

# The query parameters with a meaning of their own at every endpoint.
RESERVED_PARAMETERS: Final = frozenset({"feeds", "types", "cursor", "jwt", "token", "protocol", "last_event_id"})

# Fields that the server adds to the messages of a plain event stream.
ADDED_FIELDS: Final = frozenset({"timestamp", "cursor", "gap"})

MAX_PATH_LENGTH: Final = 256

_SEGMENT: Final = re.compile(r"[A-Za-z0-9._~-]+\Z")


def validate_endpoint(endpoint: Endpoint, has_feeds: bool) -> str | None:
    """Checks one endpoint by itself. Returns its first fault as `<key>: <reason>`; None if it is valid. `has_feeds` is
    true if the profile of the endpoint declares feeds.
    """
    for key, fault in _faults(endpoint):
        if fault:
            return f"{key}: {fault}"
    if endpoint.inbox == "none" and not (endpoint.feeds and has_feeds):
        return "feeds: plain clients would receive nothing: inbox is 'none', and the endpoint has no feeds"
    return None


def _faults(endpoint: Endpoint) -> Iterator[tuple[str, str | None]]:
    yield "profile", "set it once, at the top of the file" if endpoint.profile else None
    yield "user", _validate_user(endpoint)
    yield "path", _validate_path(endpoint)
    for key, message in (("connected", endpoint.connected), ("heartbeat", endpoint.heartbeat)):
        if message is not None:
            yield key, _validate_message(endpoint, message)


def _validate_user(endpoint: Endpoint) -> str | None:
    if endpoint.user is None:
        return None
    if not USER_PLACE.match(endpoint.user):
        return f"{endpoint.user!r} is not 'query:<parameter>' or 'path:<parameter>'"
    if endpoint.query_parameter in RESERVED_PARAMETERS:
        return f"the query parameter {endpoint.query_parameter!r} is reserved"
    if endpoint.path_parameter and not endpoint.path.endswith(f"/{{{endpoint.path_parameter}}}"):
        return f"{endpoint.user!r}: the path must end with '/{{{endpoint.path_parameter}}}'"
    return None


def _validate_path(endpoint: Endpoint) -> str | None:
    path = endpoint.path
    if not path.startswith("/") or path == "/":
        return f"{path!r} must begin with '/', followed by at least one segment"
    if len(path) > MAX_PATH_LENGTH:
        return f"has more than {MAX_PATH_LENGTH} characters"
    segments = path[1:].split("/")
    if endpoint.path_parameter:
        segments.pop()
    elif segments[-1].startswith("{"):
        return f"{path!r} ends with a parameter: set user to 'path:<parameter>' with its name"
    for segment in segments:
        if not _SEGMENT.match(segment) or segment in (".", ".."):
            return (
                f"{path!r} has the segment {segment!r}: only letters, digits, '.', '_', '~' and '-' are allowed, and"
                " at the end one parameter in braces"
            )
    if not segments:
        return f"{path!r} would match every path: put a segment before the parameter"
    if segments[0] in RESERVED_SEGMENTS:
        return f"{path!r}: everything below '/{segments[0]}' is reserved"
    return None


def _validate_message(endpoint: Endpoint, message: dict[str, Any]) -> str | None:
    if endpoint.transport != "sse":
        return "only an endpoint with transport = 'sse' can have this message"
    added = sorted(ADDED_FIELDS & message.keys())
    return f"{added[0]!r} is a field that the server adds: remove it" if added else None


class EndpointConflict(msgspec.Struct, frozen=True):
    """The reason why endpoints can't be served together. `endpoint` is the endpoint to change, and `other` the one that
    it contradicts, if there is one. `fault` is the reason as `<key>: <reason>`, for example that both have the same
    name.
    """

    endpoint: Endpoint
    other: Endpoint | None
    fault: str


def validate_together(endpoints: Sequence[Endpoint]) -> EndpointConflict | None:
    """Checks whether endpoints can be served together. Returns the first conflict; None if there is none."""
    named: dict[str, Endpoint] = {}
    for endpoint in endpoints:
        other = named.setdefault(endpoint.name, endpoint)
        if other is not endpoint:
            return EndpointConflict(endpoint, other, f"name: the endpoint at {other.path!r} has the same name")
    conflicts = (_conflict_at_one_path(sharing) for sharing in by_path(endpoints))
    return next((conflict for conflict in conflicts if conflict), None)


def _conflict_at_one_path(sharing: Sequence[Endpoint]) -> EndpointConflict | None:
    first, last, path = sharing[0], sharing[-1], sharing[0].path
    if other := next((endpoint for endpoint in sharing if endpoint.transport != first.transport), None):
        fault = f"transport: endpoint {first.name!r} at the same path has transport = {first.transport!r}"
        return EndpointConflict(other, first, fault)
    by_query = [endpoint for endpoint in sharing if endpoint.query_parameter]
    if len(sharing) > 2 or (len(sharing) == 2 and len(by_query) != 1):
        fault = (
            f"path: endpoint {first.name!r} is at {path!r} too: two endpoints can share a path if exactly one of"
            " them has user = 'query:<parameter>'"
        )
        return EndpointConflict(last, first, fault)
    transport = HERALD_V1_PATHS.get(path)
    if transport is None:
        return None
    fault = ""
    if first.transport != transport:
        fault = f"transport: must be {transport!r} at {path!r}, where clients of herald.v1 connect"
    elif HERALD_V1_USER not in {endpoint.user for endpoint in sharing}:
        fault = f"user: must be {HERALD_V1_USER!r} at {path!r}, where clients of herald.v1 connect"
    return EndpointConflict(last, None, fault) if fault else None
