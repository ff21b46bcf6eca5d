"""Distinguishes outages from other exceptions, and describes them."""

import asyncio
from typing import Final

from aiormq.exceptions import AMQPError, ChannelInvalidStateError
from pamqp.exceptions import PAMQPException


class Silent(Exception):
    """RabbitMQ stopped answering or cancelled the consumer, and aiormq raised no exception."""


# Expected faults of a network and of a broker.
_OUTAGES: Final = (AMQPError, PAMQPException, TimeoutError, OSError, Silent)

# How aiormq reports a lost connection: it cancels its reader after missed heartbeats, fails pending calls with a bare
# Exception, and later calls with a RuntimeError, whose text contains the user name. Only exactly these types count: an
# exception of a subclass is a programming error.
_GONE: Final = frozenset({asyncio.CancelledError, Exception, RuntimeError, ChannelInvalidStateError})


def outage(fault: BaseException) -> str | None:
    """Returns a description of the outage for status and logs. Returns None if the exception is not an outage.

    The description is the last string among the exception's arguments: RabbitMQ's or the system's message, which
    follows a reply code or an error number. Without a string, it is the name of the exception's class.
    """
    if type(fault) in _GONE:
        return "the connection to RabbitMQ was lost"
    if not isinstance(fault, _OUTAGES):
        return None
    texts = [word for word in fault.args if isinstance(word, str) and word]
    return texts[-1] if texts else type(fault).__name__
