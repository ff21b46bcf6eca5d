"""The settings, declared once: from here they are loaded, shown by `herald config` and checked against the README."""

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, get_type_hints

import msgspec

from adapters.jwt.settings import JwtSettings
from domain.routes import Broker
from entrypoints import parsers
from entrypoints.parsers import Parser, choice, days, items, seconds, text, verbatim, whole
from entrypoints.setting import Mode, Setting


def _unused(names: str, help: str, parse: Parser = text, *, secret: bool = False) -> Setting:
    return Setting(names, parse, help, secret=secret, used=False)


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """All that a process of Herald is told from outside. What a field means is said by its declaration.

    `came_from` says of each field who set it: `default`, the name of an environment variable, or `--option`.
    """

    mode: Mode
    came_from: Mapping[str, str]

    profile: Annotated[
        tuple[str, ...], Setting("HERALD_PROFILE", items, "The profiles to load, comma separated.", "all")
    ]
    routes: Annotated[
        str | None, Setting("HERALD_ROUTES", text, "A routes file to load in place of the shipped profiles.")
    ]
    host: Annotated[
        str, Setting("HERALD_HOST WS_HOST", text, "The address to listen on.", "0.0.0.0", in_dev="127.0.0.1")  # noqa: S104 - a server's default
    ]
    port: Annotated[int, Setting("HERALD_PORT PORT WS_PORT", parsers.port, "The port to listen on.", "8000")]
    origins: Annotated[
        tuple[str, ...] | None,
        Setting(
            "HERALD_ORIGINS",
            parsers.origins,
            "Whose pages may connect: origins, comma separated; `loopback` for this machine's own, `*` for everyone's."
            " The cookie is only taken where this is a list.",
            "*",
            in_dev="loopback",
            unset="everyone",
        ),
    ]

    auth: Annotated[
        Literal["jwt", "open"],
        Setting(
            "HERALD_AUTH",
            choice("jwt", "open"),
            "`jwt` believes signed tokens, `open` believes every `user_id`.",
            "jwt",
            in_dev="open",
        ),
    ]
    jwt_secret: Annotated[
        str | None,
        Setting("HERALD_JWT_SECRET", verbatim, "The secret that tokens are signed with (HS256, …).", secret=True),
    ]
    jwt_public_key: Annotated[
        str | None,
        Setting("HERALD_JWT_PUBLIC_KEY", parsers.pem, "The public key of tokens: PEM text, or the path of its file."),
    ]
    jwt_jwks_url: Annotated[
        str | None, Setting("HERALD_JWT_JWKS_URL", parsers.http_url, "Where the public keys of tokens are published.")
    ]
    jwt_algorithms: Annotated[
        tuple[str, ...],
        Setting(
            "HERALD_JWT_ALGORITHMS", items, "The algorithms to accept, comma separated.", "", unset="all of the key's"
        ),
    ]
    jwt_audience: Annotated[
        str | None, Setting("HERALD_JWT_AUDIENCE", text, "The `aud` that tokens must have.", unset="any")
    ]
    jwt_issuer: Annotated[
        str | None, Setting("HERALD_JWT_ISSUER", text, "The `iss` that tokens must have.", unset="any")
    ]

    broker: Annotated[
        Broker | None,
        Setting(
            "HERALD_BROKER",
            choice("kafka", "rabbitmq", "memory"),
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
            "Where a new group begins in topics that exist already.",
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

    database_url: Annotated[
        str,
        Setting(
            "DATABASE_URL",
            parsers.database_url,
            "The database that keeps everything: `postgresql+asyncpg://…`, `sqlite+aiosqlite:///FILE`, or `memory:` for"
            " none.",
            "sqlite+aiosqlite:///var/herald.db",
        ),
    ]
    database_connections: Annotated[
        int,
        Setting(
            "HERALD_DATABASE_CONNECTIONS", whole(1000), "How many connections this process has to PostgreSQL.", "10"
        ),
    ]
    keep_inbox_days: Annotated[
        int, Setting("HERALD_KEEP_INBOX_DAYS", days, "How long an inbox keeps a notification.", "365")
    ]
    keep_inbox_entries: Annotated[
        int, Setting("HERALD_KEEP_INBOX_ENTRIES", whole(), "How many notifications each inbox keeps.", "100000")
    ]
    keep_feed_days: Annotated[int, Setting("HERALD_KEEP_FEED_DAYS", days, "How long a feed keeps a broadcast.", "30")]
    keep_feed_entries: Annotated[
        int, Setting("HERALD_KEEP_FEED_ENTRIES", whole(), "How many broadcasts each feed keeps.", "100000")
    ]
    keep_dead_letter_days: Annotated[
        int, Setting("HERALD_KEEP_DEAD_LETTER_DAYS", days, "How long a dead letter is kept.", "90")
    ]
    keep_dead_letters: Annotated[
        int, Setting("HERALD_KEEP_DEAD_LETTERS", whole(), "How many dead letters are kept.", "100000")
    ]
    keep_delivery_days: Annotated[
        int,
        Setting(
            "HERALD_KEEP_DELIVERY_DAYS", days, "How long a delivery is kept; a pending one until it is none.", "90"
        ),
    ]
    keep_deliveries: Annotated[
        int,
        Setting("HERALD_KEEP_DELIVERIES", whole(), "How many deliveries are kept beside the pending ones.", "1000000"),
    ]

    smtp_host: Annotated[
        str | None,
        Setting("SMTP_HOST", parsers.host, "The mail server. Without one, mails are written to HERALD_MAIL_FOLDER."),
    ]
    smtp_port: Annotated[
        int | None,
        Setting("SMTP_PORT", parsers.port, "Its port.", unset="25; with starttls 587, with tls 465"),
    ]
    smtp_from: Annotated[
        str,
        Setting(
            "SMTP_FROM",
            parsers.mailbox,
            "Who mails are from: an address, or `Name <address>`.",
            "Herald <herald@localhost>",
        ),
    ]
    smtp_security: Annotated[
        Literal["none", "starttls", "tls"],
        Setting(
            "HERALD_SMTP_SECURITY",
            choice("none", "starttls", "tls"),
            "How the mail server is spoken to: in the clear, with STARTTLS or not at all, or with TLS from the start.",
            "none",
        ),
    ]
    smtp_cafile: Annotated[
        str | None,
        Setting(
            "HERALD_SMTP_CAFILE",
            parsers.file,
            "The certificates to trust the mail server by, a PEM file.",
            unset="the system's",
        ),
    ]
    smtp_user: Annotated[str | None, Setting("HERALD_SMTP_USER", text, "Who we are to the mail server.")]
    smtp_password: Annotated[
        str | None, Setting("HERALD_SMTP_PASSWORD", verbatim, "The password of that user.", secret=True)
    ]
    smtp_connections: Annotated[
        int,
        Setting(
            "HERALD_SMTP_CONNECTIONS", whole(200), "How many mails this process sends at once, one a connection.", "10"
        ),
    ]
    mail_templates: Annotated[
        str | None,
        Setting(
            "HERALD_MAIL_TEMPLATES",
            parsers.folder,
            "A folder of mail templates that go before the shipped ones of the same names.",
        ),
    ]
    mail_folder: Annotated[
        str, Setting("HERALD_MAIL_FOLDER", text, "Where mails are written without a mail server.", "var/mail")
    ]
    mail_addresses: Annotated[
        int,
        Setting(
            "HERALD_MAIL_ADDRESSES",
            whole(10_000),
            "How many addresses one event may mail to; with more it becomes a dead letter.",
            "100",
        ),
    ]
    mail_tries: Annotated[
        int, Setting("HERALD_MAIL_TRIES", whole(1_000), "How often a mail is tried before it has failed.", "60")
    ]
    mail_retry_seconds: Annotated[
        float,
        Setting(
            "HERALD_MAIL_RETRY_SECONDS",
            seconds,
            "How long until a mail is tried again; twice as long after each further try, up to an hour.",
            "10",
        ),
    ]
    mail_attempt_seconds: Annotated[
        float, Setting("HERALD_MAIL_ATTEMPT_SECONDS", seconds, "How long one try may take.", "30")
    ]

    drain_seconds: Annotated[
        float, Setting("HERALD_DRAIN_SECONDS", seconds, "How long clients are told to leave before we do.", "10")
    ]
    heartbeat_seconds: Annotated[
        float, Setting("HERALD_HEARTBEAT_SECONDS", seconds, "How often a quiet client hears from us.", "30")
    ]
    max_event_bytes: Annotated[
        int, Setting("HERALD_MAX_EVENT_BYTES", whole(), "Larger events become dead letters.", "1048576")
    ]
    max_sessions_per_user: Annotated[
        int, Setting("HERALD_MAX_SESSIONS_PER_USER", whole(), "How many connections one user may have.", "100")
    ]
    rest_rate: Annotated[
        float,
        Setting(
            "HERALD_REST_RATE",
            parsers.per_second,
            "How many requests a second one user, or one token, may make in the long run; `0` is no limit.",
            "50",
        ),
    ]
    publish_rate: Annotated[
        float,
        Setting(
            "HERALD_PUBLISH_RATE",
            parsers.per_second,
            "How many events a second one user, or one token, may publish over HTTP; `0` is no limit.",
            "5000",
        ),
    ]
    connect_rate: Annotated[
        float,
        Setting(
            "HERALD_CONNECT_RATE",
            parsers.per_second,
            "How many connections a second one user, or one token, may open in the long run; `0` is no limit.",
            "50",
        ),
    ]

    log_format: Annotated[
        Literal["console", "json"],
        Setting("HERALD_LOG_FORMAT", choice("console", "json"), "console or json.", "json", in_dev="console"),
    ]
    log_level: Annotated[
        Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"],
        Setting(
            "LOG_LEVEL",
            choice("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"),
            "The least important lines to log.",
            "INFO",
        ),
    ]
    service_name: Annotated[
        str, Setting("SERVICE_NAME", text, "What /health and the logs call this service.", "herald")
    ]

    url: Annotated[
        str,
        Setting(
            "HERALD_URL",
            parsers.http_url,
            "The service that `herald publish`, `herald dead-letters` and `herald deliveries` talk to.",
            "http://127.0.0.1:{port}",
        ),
    ]
    token: Annotated[str | None, Setting("HERALD_TOKEN", text, "The token that they show it.", secret=True)]

    redis_url: Annotated[str | None, _unused("REDIS_URL", "The Redis that connects the nodes.")]

    @property
    def jwt(self) -> JwtSettings:
        return JwtSettings(
            secret=self.jwt_secret,
            public_key=self.jwt_public_key,
            jwks_url=self.jwt_jwks_url,
            algorithms=self.jwt_algorithms,
            audience=self.jwt_audience,
            issuer=self.jwt_issuer,
        )

    def shown(self, field: str) -> str:
        """The value as people may see it."""
        return SETTINGS[field].shown(getattr(self, field))

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        """Settings find their way into logs and tracebacks; secrets must not."""
        return [("mode", self.mode), *((field, self.shown(field)) for field in SETTINGS)]

    def __repr__(self) -> str:
        return f"Settings({', '.join(f'{name}={value!r}' for name, value in self.__rich_repr__())})"


def _declarations() -> dict[str, Setting]:
    hints = get_type_hints(Settings, include_extras=True)
    return {field: hint.__metadata__[0] for field, hint in hints.items() if hasattr(hint, "__metadata__")}


SETTINGS: Final[Mapping[str, Setting]] = _declarations()
