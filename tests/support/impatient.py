"""`python -m tests.support.impatient herald dev` runs `herald dev` with a hub that closes clients that have read
nothing for 5 s. There is no setting for this time."""

import os
import sys
from typing import Final

from msgspec.structs import replace

from entrypoints.server import run
from entrypoints.settings.loader import load

STALLED_AFTER_SWEEPS: Final = 5

if __name__ == "__main__":
    settings = load(os.environ, "dev", {})
    hub = replace(settings.hub, stalled_after_sweeps=STALLED_AFTER_SWEEPS)
    sys.exit(run(replace(settings, hub=hub), migrate=True))
