"""`python -m tests.support.lines herald …` runs that command with one more broker in the registry."""

import sys

import entrypoints.brokers as registry
from tests.support.lines.broker import LINES

registry.BROKERS = (*registry.BROKERS, LINES)
registry.BROKER_NAMES = (*registry.BROKER_NAMES, LINES.name)

if __name__ == "__main__":
    # Imported after the registration, as if the registry had that line.
    from entrypoints.cli.main import main

    del sys.argv[0]
    main()
