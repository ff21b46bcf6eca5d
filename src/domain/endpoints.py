"""Endpoints: where clients connect, and what a plain client sees there.

A client of `herald.v1` sees the same at every endpoint: all feeds that are open to it, and its inbox.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, Any, Final, Literal, TypeAlias

import msgspec

Transport: TypeAlias = Literal["ws", "sse"]

# Default paths for clients of herald.v1 that know only the address of the service.
HERALD_V1_PATHS: Final[dict[str, Transport]] = {"/ws": "ws", "/events/stream": "sse"}
HERALD_V1_USER: Final = "query:user_id"

# The first path segments that Herald uses itself, now or in later versions.
RESERVED_SEGMENTS: Final = frozenset({"api", "client", "console", "health", "metrics", "page", "problems", "schema"})

# The query parameters that every endpoint reads itself.
RESERVED_PARAMETERS: Final = frozenset({"feeds", "types", "cursor", "jwt", "token", "protocol", "last_event_id"})

# Fields that the server adds to the messages of a plain event stream.
ADDED_FIELDS: Final = frozenset({"timestamp", "cursor", "gap"})

MAX_PATH_LENGTH: Final = 256

_SEGMENT: Final = re.compile(r"[A-Za-z0-9._~-]+\Z")
_PARAMETER: Final = r"[A-Za-z_][A-Za-z0-9_]{0,63}"
_USER: Final = re.compile(rf"(query|path):({_PARAMETER})\Z")


class Endpoint(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One endpoint of a profile.

    `name` is its label in metrics and logs. `user` says where a client names its user: `query:<parameter>` or
    `path:<parameter>`; where tokens are checked, it must match the token's user. A plain client receives the feeds of
    `profile` if `feeds` is set. `inbox` says what it receives of its inbox: nothing, the notifications of the profile's
    routes, or everything. If the profile is not loaded, it receives what all loaded profiles have.

    `connected` and `heartbeat` are the messages of a plain event stream, to which the server adds `timestamp`, `cursor`
    and, after a gap, `gap`. `description` tells readers of the AsyncAPI document what a plain client receives.
    """

    name: Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9_-]{1,64}\Z")]
    path: str
    transport: Transport
    user: str | None = None
    feeds: bool = True
    inbox: Literal["none", "profile", "all"] = "none"
    connected: dict[str, Any] | None = None
    heartbeat: dict[str, Any] | None = None
    description: str = ""
    profile: str = ""

    @property
    def query_parameter(self) -> str | None:
        """The query parameter that names the user."""
        return self._parameter("query")

    @property
    def path_parameter(self) -> str | None:
        """The path parameter that names the user."""
        return self._parameter("path")

    def _parameter(self, place: str) -> str | None:
        match = _USER.match(self.user or "")
        return match[2] if match and match[1] == place else None

    @property
    def shape(self) -> str:
        """The path without the name of its parameter. Endpoints with the same shape are at the same path."""
        return self.path.partition("{")[0] + "{}" if self.path_parameter else self.path


def validate_endpoint(endpoint: Endpoint, has_feeds: bool) -> str | None:
    """What is invalid about one endpoint, as `key: text`; None if it is valid. `has_feeds`: whether its profile
    declares feeds.
    """
    for key, fault in _faults(endpoint):
        if fault:
            return f"{key}: {fault}"
    if endpoint.inbox == "none" and not (endpoint.feeds and has_feeds):
        return "feeds: plain clients would receive nothing: no feed is named, and inbox is 'none'"
    return None


def _faults(endpoint: Endpoint) -> Iterator[tuple[str, str | None]]:
    yield "profile", "it is named once, at the top of the file" if endpoint.profile else None
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
        return f"the query parameter {endpoint.query_parameter!r} has another meaning at every endpoint"
    if endpoint.path_parameter and not endpoint.path.endswith(f"/{{{endpoint.path_parameter}}}"):
        return f"{endpoint.user!r}: the path must end with '/{{{endpoint.path_parameter}}}'"
    return None


def _validate_path(endpoint: Endpoint) -> str | None:
    path = endpoint.path
    if not path.startswith("/") or path == "/":
        return f"{path!r} must begin with '/' and name something below it"
    if len(path) > MAX_PATH_LENGTH:
        return f"it has more than {MAX_PATH_LENGTH} characters"
    segments = path[1:].split("/")
    if endpoint.path_parameter:
        segments.pop()
    elif segments[-1].startswith("{"):
        return f"{path!r} ends with a parameter: name it in user, as 'path:<parameter>'"
    for segment in segments:
        if not _SEGMENT.match(segment) or segment in (".", ".."):
            return (
                f"{path!r} has the segment {segment!r}: only letters, digits, '.', '_', '~' and '-' are possible, and"
                " at the end one parameter in braces"
            )
    if not segments:
        return f"{path!r} would be all paths: put a segment before the parameter"
    if segments[0] in RESERVED_SEGMENTS:
        return f"{path!r}: everything below '/{segments[0]}' is reserved"
    return None


def _validate_message(endpoint: Endpoint, message: dict[str, Any]) -> str | None:
    if endpoint.transport != "sse":
        return "only event streams (transport = 'sse') have this message"
    added = sorted(ADDED_FIELDS & message.keys())
    return f"{added[0]!r} is added by the server" if added else None


def validate_together(endpoints: Sequence[Endpoint]) -> tuple[Endpoint, str] | None:
    """The first conflict between endpoints: the endpoint at fault and the reason. None if all can be served
    together.
    """
    named: dict[str, Endpoint] = {}
    for endpoint in endpoints:
        other = named.setdefault(endpoint.name, endpoint)
        if other is not endpoint:
            return endpoint, f"name: the endpoint at {other.path!r} has this name, too"
    for sharing in by_path(endpoints):
        if fault := _validate_at_one_path(sharing):
            return sharing[-1], fault
    return None


def by_path(endpoints: Iterable[Endpoint]) -> Sequence[tuple[Endpoint, ...]]:
    """Group the endpoints by path."""
    at_path: dict[str, list[Endpoint]] = {}
    for endpoint in endpoints:
        at_path.setdefault(endpoint.shape, []).append(endpoint)
    return [tuple(sharing) for sharing in at_path.values()]


def _validate_at_one_path(sharing: Sequence[Endpoint]) -> str | None:
    path = sharing[0].path
    if len({endpoint.transport for endpoint in sharing}) > 1:
        return f"transport: endpoint {sharing[0].name!r} is at {path!r} with transport = {sharing[0].transport!r}"
    by_query = [endpoint for endpoint in sharing if endpoint.query_parameter]
    if len(sharing) > 2 or (len(sharing) == 2 and len(by_query) != 1):
        return (
            f"path: endpoint {sharing[0].name!r} is at {path!r}, too: two endpoints can share a path if exactly one of"
            " them has user = 'query:<parameter>'"
        )
    transport = HERALD_V1_PATHS.get(path)
    if transport is None:
        return None
    if sharing[0].transport != transport:
        return f"transport: clients of herald.v1 connect at {path!r}: it must be {transport!r}"
    if HERALD_V1_USER not in {endpoint.user for endpoint in sharing}:
        return f"user: clients of herald.v1 connect at {path!r} and name their user as {HERALD_V1_USER!r}"
    return None


def in_force(declared: Sequence[Endpoint], shipped: Sequence[Endpoint]) -> tuple[Endpoint, ...]:
    """The declared endpoints of profiles, and those shipped with Herald whose path no profile declares."""
    shapes = {endpoint.shape for endpoint in declared}
    return (*declared, *(endpoint for endpoint in shipped if endpoint.shape not in shapes))
