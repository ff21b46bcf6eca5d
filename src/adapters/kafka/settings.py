"""What an operator sets about Kafka, in the terms of aiokafka."""

import ssl
from typing import Any, Literal

import msgspec


class KafkaSettings(msgspec.Struct, frozen=True):
    """Where Kafka is, as whom to go there, and where to begin.

    `servers` is a comma separated list of host:port. `start` is where a topic begins that exists when its pattern is
    first configured; everything that appears later is read from its beginning.
    """

    servers: str
    group: str = "herald"
    client_id: str = "herald"
    start: Literal["latest", "earliest"] = "latest"
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] | None = None
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None = None
    sasl_username: str | None = None
    sasl_password: str | None = None
    ssl_cafile: str | None = None

    def __post_init__(self) -> None:
        with_sasl = (self.security_protocol or "").startswith("SASL")
        if with_sasl and not (self.sasl_username and self.sasl_password):
            raise ValueError(f"security_protocol {self.security_protocol} needs sasl_username and sasl_password")
        if self.sasl_mechanism and not with_sasl:
            raise ValueError("sasl_mechanism needs security_protocol SASL_PLAINTEXT or SASL_SSL")


def client_options(settings: KafkaSettings) -> dict[str, Any]:
    """The keyword arguments that every client of aiokafka takes. Raises OSError when the CA file cannot be read."""
    options: dict[str, Any] = {
        "bootstrap_servers": settings.servers,
        "client_id": settings.client_id,
        # More than the broker may hold back its answer to a join: see Timing.rejoin_by.
        "request_timeout_ms": 15_000,
    }
    if settings.security_protocol:
        options["security_protocol"] = settings.security_protocol
        if settings.security_protocol.endswith("SSL"):
            options["ssl_context"] = ssl.create_default_context(cafile=settings.ssl_cafile)
        if settings.security_protocol.startswith("SASL"):
            options["sasl_mechanism"] = settings.sasl_mechanism or "PLAIN"
            options["sasl_plain_username"] = settings.sasl_username
            options["sasl_plain_password"] = settings.sasl_password
    return options
