"""Distinguishes outages of RabbitMQ or of the network from programming errors, and describes them."""

import asyncio
from typing import Final

from aiormq.exceptions import AMQPError, ChannelInvalidStateError
from pamqp.exceptions import PAMQPException


class Silent(Exception):
    """Raised if RabbitMQ does not answer, has cancelled the consumer, or has closed the connection, and aiormq raised
    no exception."""


# Expected faults of a network and of a broker.
_OUTAGES: Final = (AMQPError, PAMQPException, TimeoutError, OSError, Silent)

# How aiormq reports a lost connection: it cancels its reader after missed heartbeats, fails pending calls with a bare
# Exception, and later calls with a RuntimeError, whose text contains the user name. Only exactly these types count: an
# exception of a subclass is a programming error.
_GONE: Final = frozenset({asyncio.CancelledError, Exception, RuntimeError, ChannelInvalidStateError})


def outage(fault: BaseException) -> str | None:
    """Returns a description of an outage (of RabbitMQ or the network) for status and logs. Returns None if the
    exception is not caused by an outage.

    The description is the last text among the exception's arguments, for example `Connection refused` for `OSError(111,
    "Connection refused")`; if there is no text, the name of the exception's class. It is a fixed text for the
    exceptions by which aiormq reports a lost connection.
    """
    if type(fault) in _GONE:
        return "the connection to RabbitMQ was lost"
    if not isinstance(fault, _OUTAGES):
        return None
    texts = [word for word in fault.args if isinstance(word, str) and word]
    return texts[-1] if texts else type(fault).__name__
