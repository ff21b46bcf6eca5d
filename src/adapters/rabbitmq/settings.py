"""What an operator sets about RabbitMQ."""

import ssl

import msgspec
from yarl import URL


class RabbitSettings(msgspec.Struct, frozen=True):
    """Where RabbitMQ is, as whom to go there, and what to read.

    `port` is 5672 by default, 5671 with TLS. `prefetch` bounds the messages that RabbitMQ hands over before they are
    acknowledged, and so what a node holds in memory; 0 is no bound. `cafile` says whom to trust in TLS: by default
    whom the system trusts. A body is decoded up to `max_event_bytes`.
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
    max_event_bytes: int = 1_048_576


def address(settings: RabbitSettings, heartbeat: int) -> URL:
    """The broker as aiormq wants it, but for the vhost, which not every URL can carry. It holds the password."""
    return URL.build(
        scheme="amqps" if settings.tls else "amqp",
        host=settings.host,
        port=settings.port or (5671 if settings.tls else 5672),
        user=settings.user,
        password=settings.password,
        # Operators see the name in their list of connections.
        query={"heartbeat": heartbeat, "name": "herald"},
    )


def tls_context(settings: RabbitSettings) -> ssl.SSLContext | None:
    """Raises OSError when the CA file cannot be read."""
    return ssl.create_default_context(cafile=settings.cafile) if settings.tls else None
