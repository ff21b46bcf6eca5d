"""What an operator sets about RabbitMQ."""

import msgspec


class RabbitSettings(msgspec.Struct, frozen=True):
    """Where RabbitMQ is, as whom to go there, and what to read.

    `port` is 5672 by default, 5671 with TLS. `prefetch` bounds the messages that RabbitMQ hands over before they are
    acknowledged, and so what a node holds in memory; 0 is no bound. `cafile` says whom to trust in TLS: by default
    whom the system trusts.
    """

    host: str = "localhost"
    port: int | None = None
    user: str = "guest"
    password: str = "guest"  # noqa: S105 - what every RabbitMQ begins with
    vhost: str = "/"
    exchange: str = "ecommerce_events"
    queue: str = "notification_queue"
    prefetch: int = 1_000
    tls: bool = False
    cafile: str | None = None
