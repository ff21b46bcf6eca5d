"""Endpoints: the paths where clients connect, and what a plain client receives there.

A plain client is one that does not use the protocol `herald.v1`. For clients that use it, all endpoints are the same:
they receive all feeds that they may read, and the inbox of their user.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Final, Literal, TypeAlias

import msgspec

from domain.routes_file_keys import INTERNAL, Name

Transport: TypeAlias = Literal["ws", "sse"]

# Default paths for clients of herald.v1 that are configured with only the address of the service.
HERALD_V1_PATHS: Final[dict[str, Transport]] = {"/ws": "ws", "/events/stream": "sse"}
HERALD_V1_USER: Final = "query:user_id"

# The first path segments that Herald uses itself, now or in later versions.
RESERVED_SEGMENTS: Final = frozenset({"api", "client", "console", "health", "metrics", "page", "problems", "schema"})

# The values of the key `user`: where in an address the user is named, and the name of the parameter.
USER_PLACE: Final = re.compile(r"(query|path):([A-Za-z_][A-Za-z0-9_]{0,63})\Z")


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
        match = USER_PLACE.match(self.user or "")
        return match[2] if match and match[1] == place else None

    @property
    def shape(self) -> str:
        """The path with `{}` in place of its parameter: `/users/{user_id}` becomes `/users/{}`. Two endpoints of the
        same shape serve the same requests, whatever the names of their parameters.
        """
        return self.path.partition("{")[0] + "{}" if self.path_parameter else self.path


def by_path(endpoints: Iterable[Endpoint]) -> Sequence[tuple[Endpoint, ...]]:
    """Groups endpoints by their path. Paths that differ only in the name of the parameter are the same path."""
    at_path: dict[str, list[Endpoint]] = {}
    for endpoint in endpoints:
        at_path.setdefault(endpoint.shape, []).append(endpoint)
    return [tuple(sharing) for sharing in at_path.values()]


def in_force(declared: Sequence[Endpoint], shipped: Sequence[Endpoint]) -> tuple[Endpoint, ...]:
    """Returns the endpoints that are served: all that profiles declare, and those `shipped` with Herald at paths where
    no profile declares one.
    """
    shapes = {endpoint.shape for endpoint in declared}
    return (*declared, *(endpoint for endpoint in shipped if endpoint.shape not in shapes))
