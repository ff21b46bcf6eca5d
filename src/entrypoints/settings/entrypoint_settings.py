"""The settings that entry points use: which routes are loaded, the HTTP server, the names of the node, and the client
commands."""

from typing import Annotated, Literal

from domain.setting_declarations import Section, Setting
from domain.setting_parsers import choice, http_url, items, port_number, seconds, switch, text
from domain.source_patterns import validate_pattern
from entrypoints.brokers import BROKER_NAMES


def topics(value: str) -> tuple[str, ...]:
    """Parses the value of a setting: a comma separated list of topics or topic patterns. Raises ValueError if one is
    invalid."""
    for topic in items(value):
        if fault := validate_pattern(topic):
            raise ValueError(f"has the topic {topic!r}, which {fault}")
    return items(value)


class RoutingSettings(Section, frozen=True):
    """Routes: which profiles are loaded, and from which broker their events come."""

    profile: Annotated[
        tuple[str, ...],
        Setting(
            "HERALD_PROFILE",
            items,
            "The names of the profiles to load, comma separated; `all` loads every shipped profile.",
        ),
    ] = ("all",)
    routes: Annotated[
        str | None, Setting("HERALD_ROUTES", text, "The path of a routes file, which replaces all shipped profiles.")
    ] = None
    broker: Annotated[
        str | None,
        Setting(
            "HERALD_BROKER",
            choice(*BROKER_NAMES),
            f"The broker that the events of all profiles come from: {', '.join(BROKER_NAMES[:-1])} or"
            f" {BROKER_NAMES[-1]}.",
            in_dev="memory",
            unset="the broker of each profile",
        ),
    ] = None
    products_topics: Annotated[
        tuple[str, ...],
        Setting(
            "HERALD_PRODUCTS_TOPICS", topics, "The topics that the shipped profile `products` reads, comma separated."
        ),
    ] = ("product-events",)


class ServerSettings(Section, frozen=True):
    """HTTP server: its address, timeouts and authentication."""

    host: Annotated[
        str,
        Setting(
            "HERALD_HOST WS_HOST",
            text,
            "The IP address to listen on, or a host name that resolves to it.",
            in_dev="127.0.0.1",
        ),
    ] = "0.0.0.0"  # noqa: S104 - a server's default
    port: Annotated[int, Setting("HERALD_PORT PORT WS_PORT", port_number, "The port to listen on.")] = 8000
    keep_alive_seconds: Annotated[
        float,
        Setting(
            "HERALD_KEEP_ALIVE_SECONDS",
            seconds,
            "The time after which an idle HTTP connection is closed. A proxy in front of Herald must close idle"
            " connections to it earlier.",
            unit="s",
        ),
    ] = 75.0
    http2: Annotated[
        bool,
        Setting(
            "HERALD_HTTP2",
            switch,
            "`on` also accepts HTTP/2 without TLS (h2c), from clients that start with it.",
        ),
    ] = False
    drain_seconds: Annotated[
        float,
        Setting(
            "HERALD_DRAIN_SECONDS",
            seconds,
            "The time within which a node that shuts down closes its sessions, before the process ends.",
            unit="s",
        ),
    ] = 10.0
    auth: Annotated[
        Literal["jwt", "open"],
        Setting(
            "HERALD_AUTH",
            choice("jwt", "open"),
            "`jwt`: a signed token identifies the user. `open`: no token is needed, and every caller may act as any"
            " user.",
            in_dev="open",
        ),
    ] = "jwt"


class NodeSettings(Section, frozen=True):
    """Names of this node: its own name, and that of the service it belongs to, as they appear in `/health` and logs."""

    name: Annotated[
        str,
        Setting(
            "HERALD_NODE",
            text,
            "The name of this node in /health, /metrics, logs and Redis.",
            "{hostname}:{server.port}",
        ),
    ] = ""
    service: Annotated[str, Setting("SERVICE_NAME", text, "The name of this service in /health and logs.")] = "herald"


class ClientSettings(Section, frozen=True):
    """Commands: the address and the token with which `herald publish`, `herald listen` and other commands send
    requests."""

    url: Annotated[
        str,
        Setting(
            "HERALD_URL",
            http_url,
            "The service that `herald publish`, `listen`, `dead-letters` and `deliveries` send requests to.",
            "http://127.0.0.1:{server.port}",
        ),
    ] = ""
    token: Annotated[
        str | None,
        Setting("HERALD_TOKEN", text, "The token that identifies the caller in these commands.", secret=True),
    ] = None
