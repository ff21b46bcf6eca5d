"""The timeouts of a connection, and the delays between refreshes of its token."""

import msgspec


class Timing(msgspec.Struct, frozen=True, kw_only=True):
    """Timeouts of a connection and delays between token refreshes, in seconds. The defaults suit every Herald server;
    tests use shorter ones."""

    # For name resolution, TLS and handshake together.
    open_timeout_s: float = 10.0
    # From the handshake to `hello`. The service may wait 1 s for the first frame, and longer for its database.
    hello_timeout_s: float = 15.0
    # From `bye`, or from the close frame of this client, to the end of the connection.
    close_timeout_s: float = 1.0
    # The minimum between two refreshes of a token.
    min_refresh_pause_s: float = 1.0
    # Until the next refresh if the provider fails or returns the old token, or if the service can't check a token.
    refresh_retry_s: float = 5.0


DEFAULT_TIMING = Timing()
