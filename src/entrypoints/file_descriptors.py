"""File descriptors: the limit of this process, and how it is divided."""

import resource
from typing import Final

import msgspec

from entrypoints.settings.loader import Settings

# Descriptors for the listening socket, brokers, Redis, database files, templates and logs. Connection pools are added
# to them.
OWN_DESCRIPTORS: Final = 64

# Upper limit: one process does not need more.
MAX_DESCRIPTORS: Final = 1_048_576

# The backlog of the listening socket, and the maximum number of connections that Granian serves concurrently (its
# `backpressure`). Event streams and idle keep-alive connections count; WebSockets do not.
BACKLOG: Final = 16_384

# A lower limit is logged as a warning at the start: a browser opens several connections.
WARN_BELOW: Final = 4_096

MIN_FOR_CLIENTS: Final = 32


class Descriptors(msgspec.Struct, frozen=True):
    """Open file descriptors: `limit` in total, of which `requests` are for HTTP connections, including event streams
    and idle ones, `sockets` for WebSockets, and the rest for Herald's own connections and files. The division leaves
    room to refuse a client with a response.
    """

    limit: int
    requests: int
    sockets: int


def raised_limit() -> int:
    """Raise the limit of open files (RLIMIT_NOFILE) to what the system allows this process, and return it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, MAX_DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        return wanted
    return MAX_DESCRIPTORS if soft == resource.RLIM_INFINITY else min(soft, MAX_DESCRIPTORS)


def share_out(limit: int, settings: Settings, most_requests: int) -> Descriptors:
    """Divide the limit: half of what Herald does not need itself is for requests, at most `most_requests`; the rest is
    for sockets. Raises ValueError if too few are left.
    """
    own = OWN_DESCRIPTORS + settings.database.connections + settings.smtp.connections
    for_clients = limit - own
    if for_clients < MIN_FOR_CLIENTS:
        raise ValueError(
            f"this process may open {limit} files, and Herald needs {own} of them itself: raise the limit"
            f" (ulimit -n, LimitNOFILE) to {own + MIN_FOR_CLIENTS} at least"
        )
    requests = min(for_clients // 2, most_requests)
    return Descriptors(limit, requests, for_clients - requests)
