"""Announcing: publishing stored entries and sign-outs to the hubs of all nodes."""

from collections.abc import Sequence

import structlog

from application.counters import Counters
from application.ports.backplane import Backplane, BackplaneUnavailable
from domain.streams import SignOut, StreamEntry

log = structlog.get_logger(__name__)


async def announce(
    backplane: Backplane, counters: Counters, entries: Sequence[StreamEntry], sign_outs: Sequence[SignOut] = ()
) -> None:
    """Publishes stored entries and sign-outs. Never raises. They are committed; if publishing fails, the hubs read them
    from the store at the next comparison."""
    try:
        await backplane.publish(entries, sign_outs)
    except Exception as error:
        counters.publish_failures += 1
        trace = None if isinstance(error, BackplaneUnavailable) else error
        log.warning("backplane_publish_failed", error=str(error), exc_info=trace)
