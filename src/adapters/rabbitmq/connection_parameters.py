"""The address and the TLS context of a connection to RabbitMQ, in the form that aiormq expects."""

import ssl

from yarl import URL

from adapters.rabbitmq.settings import RabbitSettings


def address(settings: RabbitSettings, heartbeat: int) -> URL:
    """Returns the URL of the broker, which contains the password. The vhost is not part of it, because a URL can't
    express every vhost name."""
    return URL.build(
        scheme="amqps" if settings.tls else "amqp",
        host=settings.host,
        port=settings.port or (5671 if settings.tls else 5672),
        user=settings.user,
        password=settings.password,
        # The name is shown in RabbitMQ's list of connections.
        query={"heartbeat": heartbeat, "name": "herald"},
    )


def tls_context(settings: RabbitSettings) -> ssl.SSLContext | None:
    """Returns the TLS context of the connection; None if TLS is off. Raises OSError if the CA file cannot be read."""
    return ssl.create_default_context(cafile=settings.cafile) if settings.tls else None
