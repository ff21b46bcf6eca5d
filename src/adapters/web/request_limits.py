"""Limits of the path and the query of requests and handshakes."""

from typing import Final

# The maximum size of path and query together, in bytes. Granian's own limit is 65,534 bytes.
MAX_TARGET_BYTES: Final = 16 * 1024

# Maximum number of query parameters. Litestar caches the last 1,024 queries with their parameters. If each query had
# thousands of parameters, the cache would take 0.6 GB.
MAX_PARAMETERS: Final = 100
