"""What an outage is, and in which words it is told."""

import asyncio
from typing import Final

from aiormq.exceptions import AMQPError, ChannelInvalidStateError
from pamqp.exceptions import PAMQPException


class Silent(Exception):
    """RabbitMQ, or the consumer's place at it, is gone without a word."""


# What is expected of a network, and of a broker.
_OUTAGES: Final = (AMQPError, PAMQPException, TimeoutError, OSError, Silent)

# How aiormq says that a connection is gone: it cancels its reader when it has heard nothing for too long, drops who
# waits with a bare Exception, and refuses who comes later with a RuntimeError, of which the text has the user's name.
# Just these: what is derived from them is somebody's mistake.
_GONE: Final = frozenset({asyncio.CancelledError, Exception, RuntimeError, ChannelInvalidStateError})


def outage(fault: BaseException) -> str | None:
    """What the broker or the system said: the last of a fault's arguments, behind its number. None for a fault that is
    no outage."""
    if type(fault) in _GONE:
        return "the connection is gone"
    if not isinstance(fault, _OUTAGES):
        return None
    said = [word for word in fault.args if isinstance(word, str) and word]
    return said[-1] if said else type(fault).__name__
