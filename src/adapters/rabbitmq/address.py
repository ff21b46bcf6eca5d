"""Where a connection to RabbitMQ goes, in the terms of aiormq."""

import ssl

from yarl import URL

from adapters.rabbitmq.settings import RabbitSettings


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
