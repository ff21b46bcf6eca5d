"""The settings of Kafka, and the options of aiokafka's clients that result from them."""

import re
import ssl
from typing import Annotated, Any, Final, Literal

from adapters.path_setting_parsers import file_path
from domain.setting_declarations import Section, Setting
from domain.setting_parsers import choice, items, text, verbatim

_SERVER: Final = re.compile(r"[^\s:/@\[\]]+(:\d{1,5})?|\[[0-9a-fA-F:.]+\](:\d{1,5})?")


def server_list(value: str) -> str:
    """Parses a comma-separated list of servers, each `host:port` or `host`. Returns it without spaces and duplicates.
    Raises ValueError if an item has another form."""
    for server in items(value):
        if not _SERVER.fullmatch(server):
            raise ValueError(f"must be host:port, or several separated by commas, and {server!r} is not")
    return ",".join(items(value))


class KafkaSettings(Section, frozen=True):
    """Kafka and Redpanda: the servers, the credentials, and the offset at which reading a topic starts.

    `start` applies to topics that exist when a route first names them. A topic that is created later is read from its
    beginning.
    """

    servers: Annotated[
        str,
        Setting(
            "KAFKA_BROKERS REDPANDA_BROKERS",
            server_list,
            "The addresses of Kafka servers: `host:port`, comma separated. If both variables are set, they must be"
            " equal.",
            same=True,
        ),
    ] = "localhost:9092"
    client_id: Annotated[str, Setting("KAFKA_CLIENT_ID", text, "The name of this client in Kafka's logs.")] = "herald"
    group: Annotated[
        str,
        Setting(
            "HERALD_KAFKA_GROUP", text, "The consumer group of all nodes, which share the partitions of its topics."
        ),
    ] = "herald"
    start: Annotated[
        Literal["latest", "earliest"],
        Setting(
            "HERALD_KAFKA_START",
            choice("latest", "earliest"),
            "Where Herald starts to read a topic that exists already when a route first names it: `latest` (at its"
            " end) or `earliest` (at its beginning).",
        ),
    ] = "latest"
    security_protocol: Annotated[
        Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"],
        Setting(
            "HERALD_KAFKA_SECURITY_PROTOCOL",
            choice("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"),
            "The protocol of connections to Kafka: PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL.",
        ),
    ] = "PLAINTEXT"
    sasl_mechanism: Annotated[
        Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None,
        Setting(
            "HERALD_KAFKA_SASL_MECHANISM",
            choice("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"),
            "The mechanism of the login: PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512.",
            unset="PLAIN, if the protocol has SASL",
        ),
    ] = None
    sasl_username: Annotated[str | None, Setting("HERALD_KAFKA_SASL_USERNAME", text, "The user name for Kafka.")] = None
    sasl_password: Annotated[
        str | None, Setting("HERALD_KAFKA_SASL_PASSWORD", verbatim, "The password for Kafka.", secret=True)
    ] = None
    ssl_cafile: Annotated[
        str | None,
        Setting(
            "HERALD_KAFKA_SSL_CAFILE",
            file_path,
            "A PEM file with the certificate authorities that are trusted for Kafka.",
            unset="the system's authorities",
        ),
    ] = None

    def check(self) -> None:
        if self.security_protocol.startswith("SASL"):
            if not (self.sasl_username and self.sasl_password):
                raise ValueError(
                    f"HERALD_KAFKA_SECURITY_PROTOCOL is {self.security_protocol}:"
                    " set HERALD_KAFKA_SASL_USERNAME and HERALD_KAFKA_SASL_PASSWORD too."
                )
        elif self.sasl_mechanism:
            raise ValueError(
                f"HERALD_KAFKA_SASL_MECHANISM has no effect, because HERALD_KAFKA_SECURITY_PROTOCOL is"
                f" {self.security_protocol}: set the latter to SASL_SSL or SASL_PLAINTEXT."
            )


def client_options(settings: KafkaSettings) -> dict[str, Any]:
    """Returns the keyword arguments for creating any client of aiokafka: servers, encryption and login. Raises OSError
    if the file HERALD_KAFKA_SSL_CAFILE cannot be read."""
    options: dict[str, Any] = {
        "bootstrap_servers": settings.servers,
        "client_id": settings.client_id,
        "security_protocol": settings.security_protocol,
        # Longer than the broker may delay its response to a join: see Timing.rejoin_by.
        "request_timeout_ms": 15_000,
    }
    if settings.security_protocol.endswith("SSL"):
        options["ssl_context"] = ssl.create_default_context(cafile=settings.ssl_cafile)
    if settings.security_protocol.startswith("SASL"):
        options["sasl_mechanism"] = settings.sasl_mechanism or "PLAIN"
        options["sasl_plain_username"] = settings.sasl_username
        options["sasl_plain_password"] = settings.sasl_password
    return options
