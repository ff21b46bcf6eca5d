"""For the image's HEALTHCHECK: ends with 0 if the Herald of this container answers. There is no curl in it."""

import http.client
import os
import sys

# As Herald itself takes its port, the first that is set.
NAMES = ("HERALD_PORT", "PORT", "WS_PORT")

# Seconds; a process that answers nothing for longer is no use to anyone.
PATIENCE = 3.0


def main() -> int:
    port = next((int(os.environ[name]) for name in NAMES if os.environ.get(name, "").isdigit()), 8000)
    # Not urllib, which would ask the proxy that the environment may name.
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        connection.request("GET", "/health/live")
        return 0 if connection.getresponse().status == 200 else 1
    except (OSError, http.client.HTTPException):
        return 1


if __name__ == "__main__":
    sys.exit(main())
