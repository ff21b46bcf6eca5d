"""Timeouts and intervals of the RabbitMQ adapter."""

import msgspec

from domain.backoff import Backoff


class Timing(msgspec.Struct, frozen=True):
    """Timeouts and intervals of the RabbitMQ adapter, in seconds. Operators can't set them; tests shorten them."""

    # Delay between attempts to connect.
    reconnect: Backoff = Backoff(initial_s=0.2, max_s=15.0)
    # Timeout for connecting, declaring exchange, queue and bindings, and starting to consume.
    connect: float = 15.0
    # RabbitMQ drops a consumer from which it has received nothing for twice this time, and redelivers its messages to
    # another.
    heartbeat: int = 10
    # Interval between two probes of the broker, and timeout of each: a dead broker is noticed within twice this time.
    probe: float = 3.0
    # Reconnect after this long without an answer: RabbitMQ has dropped this consumer by then (`heartbeat`).
    silence: float = 20.0
    # Timeout for passing an acknowledgement to aiormq, which is immediate unless RabbitMQ has stopped reading.
    acknowledge: float = 5.0
    # Timeout for closing the channel, which confirms all acknowledgements, and again for closing the connection. Then
    # the socket is aborted.
    leave: float = 1.5
    # Timeout for a change of bindings while consuming.
    bind: float = 2.5
