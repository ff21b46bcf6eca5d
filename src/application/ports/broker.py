"""The port for brokers: what an adapter declares so that Herald can consume events from its broker."""

from collections.abc import Callable
from typing import Generic, TypeVar

import msgspec

from application.ports.event_source import EventSource
from application.ports.start_offsets import StartOffsets

SettingsT = TypeVar("SettingsT")


class SourceContext(msgspec.Struct, frozen=True):
    """What Herald passes to a broker's event source. `patterns` are the topics or routing keys of the routes
    (domain.source_patterns). Bodies are decoded up to `max_event_bytes`."""

    patterns: tuple[str, ...]
    max_event_bytes: int
    start_offsets: StartOffsets


class Broker(msgspec.Struct, Generic[SettingsT], frozen=True):
    """One kind of broker: its name in routes files, settings, logs and metrics, the struct with its settings, and the
    function that makes its event source. `make_source` imports the client library, so that commands that consume no
    events do not load it."""

    name: str
    settings: type[SettingsT]
    make_source: Callable[[SettingsT, SourceContext], EventSource]
