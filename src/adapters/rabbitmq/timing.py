"""How long the RabbitMQ adapter waits, and for what."""

import msgspec

from domain.backoff import Backoff


class Timing(msgspec.Struct, frozen=True):
    """All in seconds. Not for operators: tests shorten what they would have to sit through."""

    # Between attempts to connect.
    reconnect: Backoff = Backoff(initial_s=0.2, max_s=15.0)
    # For connecting, and making sure of exchange, queue and bindings.
    connect: float = 15.0
    # RabbitMQ gives up a consumer of which it has heard nothing for twice as long, and hands its messages to another.
    heartbeat: int = 10
    # Between two questions to the broker, and for its answer: a broker that dies is noticed within their sum.
    probe: float = 3.0
    # RabbitMQ, which has said nothing for this long, has given up on this consumer too (`heartbeat`): connect anew.
    silence: float = 20.0
    # For writing an acknowledgement into the connection: at once, unless the connection is stuck.
    acknowledge: float = 5.0
    # For the broker's answer that it has every acknowledgement, and as long again for its goodbye; then the connection
    # is cut.
    leave: float = 1.5
    # For a change of bindings while consuming.
    bind: float = 2.5
