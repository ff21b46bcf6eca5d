"""Endpoints: the paths where clients connect, and what a plain client receives there.

A plain client is one that does not use the protocol `herald.v1`. For clients that use it, all endpoints are the same:
they receive all feeds that they may read, and the inbox of their user.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, Any, Final, Literal, TypeAlias

import msgspec

from domain.routes_file_keys import INTERNAL, Name

Transport: TypeAlias = Literal["ws", "sse"]

# Default paths for clients of herald.v1 that are configured with only the address of the service.
HERALD_V1_PATHS: Final[dict[str, Transport]] = {"/ws": "ws", "/events/stream": "sse"}
HERALD_V1_USER: Final = "query:user_id"

# The first path segments that Herald uses itself, now or in later versions.
RESERVED_SEGMENTS: Final = frozenset({"api", "client", "console", "health", "metrics", "page", "problems", "schema"})

# The query parameters with a meaning of their own at every endpoint.
RESERVED_PARAMETERS: Final = frozenset({"feeds", "types", "cursor", "jwt", "token", "protocol", "last_event_id"})

# Fields that the server adds to the messages of a plain event stream.
ADDED_FIELDS: Final = frozenset({"timestamp", "cursor", "gap"})

MAX_PATH_LENGTH: Final = 256

_SEGMENT: Final = re.compile(r"[A-Za-z0-9._~-]+\Z")
_PARAMETER: Final = r"[A-Za-z_][A-Za-z0-9_]{0,63}"
_USER: Final = re.compile(rf"(query|path):({_PARAMETER})\Z")


class Endpoint(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A path where clients connect, as declared in a profile, and what plain clients receive there. (Clients of
    `herald.v1` receive the same at every endpoint.) If `profile` is not loaded, plain clients receive the feeds and
    notifications of all loaded profiles.
    """

    name: Annotated[
        Name,
        msgspec.Meta(
            description="The label in metrics and logs, and the name of the channel in the AsyncAPI document:"
            " lower-case letters, digits, `_` and `-`, at most 64. No two endpoints have the same."
        ),
    ]
    path: Annotated[
        str,
        msgspec.Meta(
            description="`/` and segments of letters, digits, `.`, `_`, `~` and `-`. The last segment may be the"
            " parameter that names the user, in braces. Reserved are the paths below "
            f"{', '.join(f'`/{segment}`' for segment in sorted(RESERVED_SEGMENTS))}."
        ),
    ]
    transport: Annotated[Transport, msgspec.Meta(description="`ws`: WebSocket. `sse`: server-sent events.")]
    user: Annotated[
        str | None,
        msgspec.Meta(
            description='Where a client names its user: `"query:<parameter>"` or `"path:<parameter>"`. With'
            " `HERALD_AUTH=jwt` the name must be the user of the token; without `user` only the token identifies the"
            " user."
        ),
    ] = None
    feeds: Annotated[
        bool,
        msgspec.Meta(description="Whether plain clients receive the feeds of this profile that they may read."),
    ] = True
    inbox: Annotated[
        Literal["none", "profile", "all"],
        msgspec.Meta(
            description="Which notifications of their user plain clients receive. `none`: none. `profile`: those of"
            " this profile's routes. `all`: those of all profiles."
        ),
    ] = "none"
    connected: Annotated[
        dict[str, Any] | None,
        msgspec.Meta(
            description="SSE only: the first message. Herald adds `timestamp`, `cursor` and, if events may be missing,"
            " `gap`.",
            extra={"unset": '`{ type = "connection" }`'},
        ),
    ] = None
    heartbeat: Annotated[
        dict[str, Any] | None,
        msgspec.Meta(
            description="SSE only: the message when nothing else was sent for `HERALD_HEARTBEAT_SECONDS`. Herald adds"
            " `timestamp` and `cursor`.",
            extra={"unset": '`{ type = "heartbeat" }`'},
        ),
    ] = None
    description: Annotated[
        str,
        msgspec.Meta(
            description="What plain clients receive, for the AsyncAPI document.",
            extra={"unset": "made from the keys of the endpoint"},
        ),
    ] = ""
    profile: Annotated[str, INTERNAL] = ""

    @property
    def query_parameter(self) -> str | None:
        """The name of the query parameter that contains the user id; None if the id is not in the query."""
        return self._parameter("query")

    @property
    def path_parameter(self) -> str | None:
        """The name of the path parameter that contains the user id; None if the id is not in the path."""
        return self._parameter("path")

    def _parameter(self, place: str) -> str | None:
        match = _USER.match(self.user or "")
        return match[2] if match and match[1] == place else None

    @property
    def shape(self) -> str:
        """The path with `{}` in place of its parameter: `/users/{user_id}` becomes `/users/{}`. Two endpoints of the
        same shape serve the same requests, whatever the names of their parameters.
        """
        return self.path.partition("{")[0] + "{}" if self.path_parameter else self.path


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
    if not _USER.match(endpoint.user):
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


def by_path(endpoints: Iterable[Endpoint]) -> Sequence[tuple[Endpoint, ...]]:
    """Groups endpoints by their path. Paths that differ only in the name of the parameter are the same path."""
    at_path: dict[str, list[Endpoint]] = {}
    for endpoint in endpoints:
        at_path.setdefault(endpoint.shape, []).append(endpoint)
    return [tuple(sharing) for sharing in at_path.values()]


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


def in_force(declared: Sequence[Endpoint], shipped: Sequence[Endpoint]) -> tuple[Endpoint, ...]:
    """Returns the endpoints that are served: all that profiles declare, and those `shipped` with Herald at paths where
    no profile declares one.
    """
    shapes = {endpoint.shape for endpoint in declared}
    return (*declared, *(endpoint for endpoint in shipped if endpoint.shape not in shapes))
