"""The settings of RabbitMQ."""

import re
from typing import Annotated, Final

from adapters.path_setting_parsers import file_path
from domain.setting_declarations import Section, Setting
from domain.setting_parsers import host_name, port_number, switch, text, verbatim, whole

# The names that aiormq accepts.
_AMQP_NAME: Final = re.compile(r"[A-Za-z0-9_.:@#,/ -]{1,127}")


def amqp_name(value: str) -> str:
    """Returns the name of an exchange or a queue without surrounding spaces. Raises ValueError if the name is empty,
    longer than 127 characters, or has characters that aiormq does not accept."""
    name = value.strip()
    if not _AMQP_NAME.fullmatch(name):
        raise ValueError(f"must be letters, digits and - _ . : @ # , / or blanks, 127 at most, and {name!r} is not")
    return name


class RabbitSettings(Section, frozen=True):
    """RabbitMQ: the server, the credentials, and the queue.

    `prefetch` is the maximum number of messages that RabbitMQ delivers to a node before the node acknowledges them.
    """

    host: Annotated[str, Setting("RABBITMQ_HOST", host_name, "RabbitMQ's host name or address.")] = "localhost"
    port: Annotated[
        int | None, Setting("HERALD_RABBITMQ_PORT", port_number, "RabbitMQ's port.", unset="5672, or 5671 with TLS")
    ] = None
    user: Annotated[str, Setting("RABBITMQ_USER", text, "The user name for RabbitMQ.")] = "guest"
    # RabbitMQ's default password.
    password: Annotated[str, Setting("RABBITMQ_PASS", verbatim, "The password for RabbitMQ.", secret=True)] = "guest"  # noqa: S105
    vhost: Annotated[
        str, Setting("HERALD_RABBITMQ_VHOST", text, "The virtual host that the exchange and the queue are in.")
    ] = "/"
    exchange: Annotated[
        str, Setting("RABBITMQ_EXCHANGE", amqp_name, "The topic exchange that events are published to.")
    ] = "ecommerce_events"
    queue: Annotated[
        str,
        Setting(
            "RABBITMQ_QUEUE",
            amqp_name,
            "The queue to consume from. If it does not exist, Herald declares it.",
        ),
    ] = "notification_queue"
    prefetch: Annotated[
        int,
        Setting(
            "HERALD_RABBITMQ_PREFETCH",
            whole(65_535),
            "The maximum number of events that this process receives before they are stored.",
        ),
    ] = 1_000
    tls: Annotated[bool, Setting("HERALD_RABBITMQ_TLS", switch, "`on` connects to RabbitMQ with TLS.")] = False
    cafile: Annotated[
        str | None,
        Setting(
            "HERALD_RABBITMQ_CAFILE",
            file_path,
            "A PEM file with the certificate authorities that are trusted for RabbitMQ.",
            unset="the system's authorities",
        ),
    ] = None
