"""The URL and the TLS context with which aiormq connects to RabbitMQ."""

import ssl

from yarl import URL

from adapters.rabbitmq.settings import RabbitSettings


def address(settings: RabbitSettings, heartbeat: int) -> URL:
    """Returns the URL of RabbitMQ, with user name and password, but without the virtual host. Link sets the virtual
    host separately, because aiormq can't read every name of a virtual host from a URL."""
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
    """Returns the TLS context of the connection; None if TLS is off. Raises OSError if the file HERALD_RABBITMQ_CAFILE
    cannot be read."""
    return ssl.create_default_context(cafile=settings.cafile) if settings.tls else None
