"""File descriptors: how many this process may have open, and what they are for."""

import resource
from typing import Final

import msgspec

from entrypoints.settings.loader import Settings

# Beside pools and mail connections: the listening socket, brokers, Redis, databases of one file, templates, logs.
OWN: Final = 64

# More than this is of no use to one process.
MOST: Final = 1_048_576

# Connections that wait to be accepted, and the most that Granian serves at once (its `backpressure`): event streams and
# idle keep-alive connections count among these, WebSockets do not.
BACKLOG: Final = 16_384

# With fewer, a warning at the start: browsers keep several connections each.
FEW: Final = 4_096

# The least that clients can be served with.
LEAST: Final = 32


class Descriptors(msgspec.Struct, frozen=True):
    """`limit` descriptors may be open. `requests` are for HTTP connections, event streams and idle ones included;
    `sockets` for WebSockets. The rest is kept for Herald's own connections and files, so that a client is refused
    while there are descriptors left to refuse it with."""

    limit: int
    requests: int
    sockets: int


def raised_limit() -> int:
    """The limit of open files (RLIMIT_NOFILE), raised to what the system allows this process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST if hard == resource.RLIM_INFINITY else min(hard, MOST)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        return wanted
    return MOST if soft == resource.RLIM_INFINITY else min(soft, MOST)


def share_out(limit: int, settings: Settings, most_requests: int) -> Descriptors:
    """Half of what Herald does not need itself for requests, at most `most_requests`, and the rest for sockets. Raises
    ValueError where too few are left."""
    own = OWN + settings.database.connections + settings.smtp.connections
    for_clients = limit - own
    if for_clients < LEAST:
        raise ValueError(
            f"this process may open {limit} files, and Herald needs {own} of them itself: raise the limit"
            f" (ulimit -n, LimitNOFILE) to {own + LEAST} at least"
        )
    requests = min(for_clients // 2, most_requests)
    return Descriptors(limit, requests, for_clients - requests)
