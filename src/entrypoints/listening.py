"""The address on which Herald listens."""

import errno
import socket


def listening_address(host: str, port: int, setting: str) -> str:
    """Returns the IP address to listen on: the one to which `host`, the value of HERALD_HOST, resolves; an IPv4 address
    if there are several. `setting` is the name of the setting with the port, for error texts.

    Raises OSError if the host does not resolve, or if the address and port can't be used, for example because another
    process listens there.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "this is not a host name"
        raise OSError(f"HERALD_HOST is {host!r}, which resolves to no address: {reason}") from None
    family, _, _, _, where = min(found, key=lambda one: one[0] != socket.AF_INET)
    address = str(where[0])
    if "%" in address:
        raise OSError(f"HERALD_HOST is {host!r}: addresses with a zone (%) are not supported")
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError as error:
            where_to = f"{host}:{port}"
            if error.errno == errno.EADDRINUSE:
                raise OSError(f"{where_to} is in use: stop the process that listens there, or set {setting}") from None
            raise OSError(f"HERALD_HOST: can't listen on {where_to}: {error.strerror}") from None
    return address
