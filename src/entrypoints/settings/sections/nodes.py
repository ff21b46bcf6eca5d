"""Which node this is, and what joins it to the others."""

from typing import Annotated

from entrypoints.settings import parsers
from entrypoints.settings.field import Setting
from entrypoints.settings.parsers import text
from entrypoints.settings.sections.storage import StorageSettings


class NodeSettings(StorageSettings, frozen=True, kw_only=True):
    """Which node this is, and what joins it to the others."""

    node: Annotated[
        str,
        Setting(
            "HERALD_NODE",
            text,
            "What /health, /metrics and the logs call this one of several nodes.",
            "{hostname}:{port}",
        ),
    ]
    redis_url: Annotated[
        str | None,
        Setting(
            "REDIS_URL",
            parsers.redis_url,
            "The Redis, or Valkey, that joins the nodes: `redis://…`, `rediss://…` for TLS, or `unix://…`. Without one"
            " each hears of what the others did seconds later, from the database.",
        ),
    ]
    redis_prefix: Annotated[
        str,
        Setting(
            "HERALD_REDIS_PREFIX",
            parsers.redis_prefix,
            "What the names of all its keys and channels begin with.",
            "herald",
        ),
    ]
    redis_cafile: Annotated[
        str | None,
        Setting(
            "HERALD_REDIS_CAFILE",
            parsers.file,
            "Certificates to check its own against: the path of a PEM file.",
            unset="the system's",
        ),
    ]
