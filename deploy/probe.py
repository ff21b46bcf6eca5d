"""Asks the Herald of this container whether it is alive, or something else: `probe.py [/health/ready]`. Ends with 0 if
the answer is 200. For the image's HEALTHCHECK, and for scripts: there is no curl in it."""

import http.client
import os
import sys

# As Herald itself takes its port, the first that is set.
NAMES = ("HERALD_PORT", "PORT", "WS_PORT")

# Seconds. Readiness takes up to 2 while something is away.
PATIENCE = 4.0


def main() -> int:
    path = sys.argv[1] if len(sys.argv) > 1 else "/health/live"
    port = next((int(os.environ[name]) for name in NAMES if os.environ.get(name, "").isdigit()), 8000)
    # Not urllib, which would ask the proxy that the environment may name.
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        connection.request("GET", path)
        return 0 if connection.getresponse().status == 200 else 1
    except (OSError, http.client.HTTPException):
        return 1


if __name__ == "__main__":
    sys.exit(main())
