"""Where events come from."""

from typing import Annotated, Literal

from entrypoints.brokers import BROKER_NAMES
from entrypoints.settings import parsers
from entrypoints.settings.field import Setting
from entrypoints.settings.parsers import choice, text, verbatim, whole
from entrypoints.settings.sections.server import ServerSettings


class BrokerSettings(ServerSettings, frozen=True, kw_only=True):
    """Where events come from."""

    broker: Annotated[
        str | None,
        Setting(
            "HERALD_BROKER",
            choice(*BROKER_NAMES),
            "Where events come from: kafka, rabbitmq or memory, for all routes.",
            in_dev="memory",
            unset="each profile's own",
        ),
    ]
    kafka_brokers: Annotated[
        str,
        Setting(
            "KAFKA_BROKERS REDPANDA_BROKERS", parsers.brokers, "Kafka's `host:port`, comma separated.", "localhost:9092"
        ),
    ]
    kafka_client_id: Annotated[str, Setting("KAFKA_CLIENT_ID", text, "What Kafka's logs call this client.", "herald")]
    kafka_group: Annotated[
        str, Setting("HERALD_KAFKA_GROUP", text, "The consumer group that shares the events out.", "herald")
    ]
    kafka_start: Annotated[
        Literal["latest", "earliest"],
        Setting(
            "HERALD_KAFKA_START",
            choice("latest", "earliest"),
            "Where a topic begins that exists when a route first names it: at its end, or at its beginning.",
            "latest",
        ),
    ]
    kafka_security_protocol: Annotated[
        Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"],
        Setting(
            "HERALD_KAFKA_SECURITY_PROTOCOL",
            choice("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"),
            "PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL.",
            "PLAINTEXT",
        ),
    ]
    kafka_sasl_mechanism: Annotated[
        Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None,
        Setting(
            "HERALD_KAFKA_SASL_MECHANISM",
            choice("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"),
            "PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512.",
            unset="PLAIN, if any",
        ),
    ]
    kafka_sasl_username: Annotated[str | None, Setting("HERALD_KAFKA_SASL_USERNAME", text, "Who we are to Kafka.")]
    kafka_sasl_password: Annotated[
        str | None, Setting("HERALD_KAFKA_SASL_PASSWORD", verbatim, "The password of that user.", secret=True)
    ]
    kafka_ssl_cafile: Annotated[
        str | None,
        Setting(
            "HERALD_KAFKA_SSL_CAFILE",
            parsers.file,
            "The certificates to trust Kafka by, a PEM file.",
            unset="the system's",
        ),
    ]
    products_topics: Annotated[
        tuple[str, ...],
        Setting(
            "HERALD_PRODUCTS_TOPICS",
            parsers.topics,
            "The topics of the products profile, comma separated.",
            "product-events",
        ),
    ]

    rabbitmq_host: Annotated[str, Setting("RABBITMQ_HOST", parsers.host, "RabbitMQ's address.", "localhost")]
    rabbitmq_port: Annotated[
        int | None, Setting("HERALD_RABBITMQ_PORT", parsers.port, "Its port.", unset="5672, or 5671 with TLS")
    ]
    rabbitmq_user: Annotated[str, Setting("RABBITMQ_USER", text, "Who we are to RabbitMQ.", "guest")]
    rabbitmq_pass: Annotated[
        str, Setting("RABBITMQ_PASS", verbatim, "The password of that user.", "guest", secret=True)
    ]
    rabbitmq_vhost: Annotated[
        str, Setting("HERALD_RABBITMQ_VHOST", text, "The virtual host that the exchange and the queue are in.", "/")
    ]
    rabbitmq_exchange: Annotated[
        str,
        Setting(
            "RABBITMQ_EXCHANGE", parsers.amqp_name, "The topic exchange that events go through.", "ecommerce_events"
        ),
    ]
    rabbitmq_queue: Annotated[
        str,
        Setting(
            "RABBITMQ_QUEUE",
            parsers.amqp_name,
            "The queue to take events from. One that exists is used as it is, another is made.",
            "notification_queue",
        ),
    ]
    rabbitmq_prefetch: Annotated[
        int,
        Setting(
            "HERALD_RABBITMQ_PREFETCH",
            whole(65_535),
            "How many events RabbitMQ hands to this process before they are stored.",
            "1000",
        ),
    ]
    rabbitmq_tls: Annotated[
        Literal["off", "on"], Setting("HERALD_RABBITMQ_TLS", choice("off", "on"), "Whether to speak TLS to it.", "off")
    ]
    rabbitmq_cafile: Annotated[
        str | None,
        Setting(
            "HERALD_RABBITMQ_CAFILE",
            parsers.file,
            "The certificates to trust RabbitMQ by, a PEM file.",
            unset="the system's",
        ),
    ]
