"""Health check of the node in this container: `probe.py [PATH]`, by default /health/live.

Exits with 0 if the response is 200. For the image's HEALTHCHECK and for scripts, because the image has no curl.
"""

import http.client
import os
import sys

# The settings of Herald's port; the first one that is set counts.
PORT_NAMES = ("HERALD_PORT", "PORT", "WS_PORT")

# /health/ready takes up to 2 s while a dependency is unavailable.
TIMEOUT_S = 4.0


def main() -> int:
    path = sys.argv[1] if len(sys.argv) > 1 else "/health/live"
    port = next((int(os.environ[name]) for name in PORT_NAMES if os.environ.get(name, "").isdigit()), 8000)
    # Not urllib, which would use a proxy named in the environment.
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_S)
    try:
        connection.request("GET", path)
        return 0 if connection.getresponse().status == 200 else 1
    except (OSError, http.client.HTTPException):
        return 1


if __name__ == "__main__":
    sys.exit(main())
