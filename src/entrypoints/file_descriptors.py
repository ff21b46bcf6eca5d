"""Raises the limit of open files of this process, and divides it between HTTP connections, WebSockets and Herald's own
files."""

import resource
from typing import Final

import msgspec

from entrypoints.settings.loader import Settings

# Descriptors that Herald itself needs: for the listening socket, brokers, Redis, database files, templates and logs.
# Those of the connection pools (database, mail server) are added to them.
OWN_DESCRIPTORS: Final = 64

# The limit of open files is not raised above this number: one process does not need more.
MAX_DESCRIPTORS: Final = 1_048_576

# The backlog of the listening socket, and the maximum number of connections that Granian serves concurrently (its
# `backpressure`). Event streams and idle keep-alive connections count; WebSockets do not.
BACKLOG: Final = 16_384

# If the limit of open files is lower than this, a warning is logged at the start.
WARN_BELOW: Final = 4_096

# Minimum number of descriptors that remain for clients. With less, Herald does not start.
MIN_FOR_CLIENTS: Final = 32


class Descriptors(msgspec.Struct, frozen=True):
    """How the limit of open files (`limit`) is divided.

    `requests`: the maximum number of HTTP connections, including event streams and idle connections. `sockets`: the
    maximum number of WebSockets. What remains is for Herald's own connections and files. Both maximums are reached
    before `limit`, so a further client can still be accepted, and refused with a response.
    """

    limit: int
    requests: int
    sockets: int


def raised_limit() -> int:
    """Raises the limit of open files (RLIMIT_NOFILE) as far as the system allows this process, but at most to
    MAX_DESCRIPTORS. Returns the limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, MAX_DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        return wanted
    return MAX_DESCRIPTORS if soft == resource.RLIM_INFINITY else min(soft, MAX_DESCRIPTORS)


def share_out(limit: int, settings: Settings, most_requests: int) -> Descriptors:
    """Divides `limit`, the limit of open files. First subtracts what Herald needs itself. Of the rest, half are for
    HTTP connections, but at most `most_requests`, and all others for WebSockets. Raises ValueError if fewer than
    MIN_FOR_CLIENTS remain for clients."""
    own = OWN_DESCRIPTORS + settings.database.connections + settings.smtp.connections
    for_clients = limit - own
    if for_clients < MIN_FOR_CLIENTS:
        raise ValueError(
            f"the limit of open files is {limit}, but Herald needs {own} for itself and {MIN_FOR_CLIENTS} for clients:"
            f" raise the limit (ulimit -n, LimitNOFILE) to at least {own + MIN_FOR_CLIENTS}"
        )
    requests = min(for_clients // 2, most_requests)
    return Descriptors(limit, requests, for_clients - requests)
