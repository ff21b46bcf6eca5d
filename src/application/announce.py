"""Publishing stored entries and sign-outs to the hubs of all nodes."""

from collections.abc import Sequence

import structlog

from application.counters import Counters
from application.ports.backplane import Backplane, BackplaneUnavailable
from domain.streams import SignOut, StreamEntry

log = structlog.get_logger(__name__)


async def announce(
    backplane: Backplane, counters: Counters, entries: Sequence[StreamEntry], sign_outs: Sequence[SignOut] = ()
) -> None:
    """Publishes entries and sign-outs, which must be committed in the store, to the hubs of all nodes. Never raises. If
    the backplane fails, the failure is counted and logged, and the hubs find the entries and sign-outs in the store,
    usually within 5 s (application.hub.reconciliation)."""
    try:
        await backplane.publish(entries, sign_outs)
    except Exception as error:
        counters.publish_failures += 1
        trace = None if isinstance(error, BackplaneUnavailable) else error
        log.warning("backplane_publish_failed", error=str(error), exc_info=trace)
