"""Provides ingest, which takes events from brokers and stores them: event sources, their consumers, and the use
cases."""

from collections.abc import Sequence

import msgspec
from dishka import Provider, Scope, alias, provide

from adapters.memory.broker import MemoryBroker
from application.ingest.handle_dead_letters import HandleDeadLetters
from application.ingest.ingest_events import ConsumeEvents, IngestEvents, RetryPolicy
from application.ingest.keep_bindings import KeepBindings
from application.ingest.note_duplicates import NoteDuplicates
from application.ingest.publish import PublishEvents
from application.ingest.store_plans import StorePlans
from application.ports.bindings import Bindings
from application.ports.broker import SourceContext
from application.ports.clock import Clock
from application.ports.event_publisher import EventPublisher
from application.ports.event_source import EventSource
from application.ports.start_offsets import StartOffsets
from application.routes_in_force import RoutesInForce
from domain.event_limits import Limits
from domain.route_table import RouteTable
from entrypoints.brokers import BROKERS
from entrypoints.settings.loader import Settings


class Ingest(Provider):
    scope = Scope.APP

    broker = provide(MemoryBroker)
    publisher = alias(MemoryBroker, provides=EventPublisher)
    store_plans = provide(StorePlans)
    note_duplicates = provide(NoteDuplicates)
    ingest = provide(IngestEvents)
    publish = provide(PublishEvents)
    handle_dead_letters = provide(HandleDeadLetters)

    @provide
    def sources(
        self, broker: MemoryBroker, routes: RoutesInForce, offsets: StartOffsets, limits: Limits, settings: Settings
    ) -> Sequence[EventSource]:
        """Returns the event sources of this node: that of the in-process broker, and one for each broker that routes
        name."""
        return [broker, *broker_sources(routes.table, offsets, limits, settings)]

    @provide
    def keep_bindings(
        self, sources: Sequence[EventSource], bindings: Bindings, clock: Clock, settings: Settings
    ) -> KeepBindings:
        queues = {source.name: source.queue for source in sources if source.queue is not None}
        return KeepBindings(settings.node.name, queues, bindings, clock)

    optional_bindings = alias(KeepBindings, provides=KeepBindings | None)

    @provide
    def consumers(
        self, ingest: IngestEvents, sources: Sequence[EventSource], retry: RetryPolicy
    ) -> Sequence[ConsumeEvents]:
        return [ConsumeEvents(ingest, source, retry) for source in sources]


def broker_sources(
    table: RouteTable, offsets: StartOffsets, limits: Limits, settings: Settings
) -> Sequence[EventSource]:
    """Returns an event source for each registered broker (such as Kafka) that routes name. Raises OSError if a file
    that the broker's settings name can't be read."""
    context = SourceContext((), limits.event_bytes, offsets)
    return [
        broker.make_source(settings.brokers[broker.name], msgspec.structs.replace(context, patterns=patterns))
        for broker in BROKERS
        if (patterns := table.sources(broker.name, settings.routing.broker))
    ]
