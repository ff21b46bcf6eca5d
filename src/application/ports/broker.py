"""The port for brokers: how an adapter declares a broker from which Herald can consume events."""

from collections.abc import Callable
from typing import Generic, TypeVar

import msgspec

from application.ports.event_source import EventSource
from application.ports.start_offsets import StartOffsets

SettingsT = TypeVar("SettingsT")


class SourceContext(msgspec.Struct, frozen=True):
    """What an event source needs besides its own settings.

    `patterns`: the topics or routing keys that the source reads, which may contain wildcards (domain.source_patterns).
    `max_event_bytes`: a compressed body that would be larger than this is not decompressed. `start_offsets`: where the
    start offsets of Kafka consumer groups are stored.
    """

    patterns: tuple[str, ...]
    max_event_bytes: int
    start_offsets: StartOffsets


class Broker(msgspec.Struct, Generic[SettingsT], frozen=True):
    """A kind of broker, such as Kafka, as its adapter declares it.

    `name`: its name in routes files, settings, logs and metrics. `settings`: the struct of its settings. `make_source`:
    makes its event source. Only `make_source` imports the broker's client library, so that commands that consume no
    events do not load the library.
    """

    name: str
    settings: type[SettingsT]
    make_source: Callable[[SettingsT, SourceContext], EventSource]
