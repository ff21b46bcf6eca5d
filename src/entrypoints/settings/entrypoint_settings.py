"""The settings that entry points use: which routes are loaded, the HTTP server, the names of the node, and the client
commands."""

import os
from typing import Annotated, Final, Literal

import msgspec

from domain.setting_declarations import Section, Setting
from domain.setting_parsers import choice, http_url, items, port_number, seconds, switch, text
from domain.source_patterns import is_wildcard, validate_pattern
from entrypoints.brokers import BROKER_NAMES

# The key in `RoutingSettings.sources` for the only source of a profile, whose name the setting leaves out.
ONLY_SOURCE: Final = ""


def topics(value: str) -> tuple[str, ...]:
    """Parses the value of a setting: a comma separated list of topics or topic patterns. Raises ValueError if one is
    invalid."""
    for topic in items(value):
        if fault := validate_pattern(topic):
            raise ValueError(f"has the topic {topic!r}, which {fault}")
    return items(value)


def routes_paths(value: str) -> tuple[str, ...]:
    """Parses the value of a setting: a comma separated list of files, folders and shipped profiles. The path of an
    existing file is not divided, even if it contains commas."""
    return (value.strip(),) if os.path.isfile(value.strip()) else items(value)


def new_sources(value: str) -> dict[str, str]:
    """Parses the value of a setting: `old=new` pairs, comma separated, or a single new name, for the old name
    ONLY_SOURCE. Raises ValueError if a name is not that of a topic or routing key, or is renamed twice."""
    names: dict[str, str] = {}
    pairs = items(value)
    for pair in pairs:
        old, separator, new = (part.strip() for part in pair.rpartition("="))
        for name in (old, new) if separator else (new,):
            if fault := validate_pattern(name) or ("has a wildcard" if is_wildcard(name) else None):
                raise ValueError(f"has the source {name!r}, which {fault}")
        if not separator and len(pairs) > 1:
            raise ValueError(f"has {pair!r} beside other names: write old=new")
        if old in names:
            raise ValueError(f"renames {old!r} twice")
        names[old] = new
    return names


class RoutingSettings(Section, frozen=True):
    """Routes: which profiles are loaded, and from which broker their events come."""

    profile: Annotated[
        tuple[str, ...],
        Setting(
            "HERALD_PROFILE",
            items,
            "The names of the shipped profiles to load, comma separated; `all` loads every one. HERALD_ROUTES replaces"
            " them.",
        ),
    ] = ("all",)
    routes: Annotated[
        tuple[str, ...],
        Setting(
            "HERALD_ROUTES",
            routes_paths,
            "The paths of routes files, and of folders whose `*.toml` files are routes files, comma separated. They"
            " replace all shipped profiles; `shipped:<name>` loads a shipped one beside them, `shipped:all` every one.",
        ),
    ] = ()
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
    sources: Annotated[
        dict[str, dict[str, str]],
        Setting(
            "HERALD_SOURCES_<PROFILE>",
            new_sources,
            "New names for the topics or routing keys that a profile reads: `old=new` pairs, comma separated; only the"
            " new name if the profile has one source. `<PROFILE>` is the name of the profile in upper case, with `_`"
            " for `-`: `HERALD_SOURCES_GROUPS`.",
        ),
    ] = msgspec.field(default_factory=dict)

    def check(self) -> None:
        default = type(self)().products_topics
        if self.products_topics != default and "HERALD_SOURCES_PRODUCTS" in self.sources:
            raise ValueError("HERALD_PRODUCTS_TOPICS and HERALD_SOURCES_PRODUCTS are both set: set one of them.")


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
