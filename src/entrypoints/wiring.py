"""The wiring: which implementation stands behind which port, and who is given what. It reads as a table."""

from collections.abc import AsyncIterator, Sequence
from importlib.metadata import version

from dishka import STRICT_VALIDATION, AsyncContainer, Provider, Scope, from_context, make_async_container, provide

from adapters.clock import SystemClock, Uuid7Factory
from adapters.http.operations import About
from adapters.jwt.verifier import JwtVerifier
from adapters.kafka.settings import KafkaSettings
from adapters.kafka.source import KafkaSource
from adapters.memory.backplane import MemoryBackplane
from adapters.memory.broker import MemoryBroker
from adapters.memory.store import MemoryStore
from adapters.sockets.event_stream import StreamGate
from adapters.sockets.websocket import SocketGate
from adapters.telemetry.prometheus import PrometheusExposition
from application.counters import Counters
from application.health import ReportHealth
from application.hub.hub import Hub
from application.identify import IdentifyCaller
from application.ingest import ConsumeEvents, IngestEvents
from application.node import Node
from application.open_session import OpenSession
from application.ports.backplane import Backplane
from application.ports.clock import Clock, IdFactory
from application.ports.event_publisher import EventPublisher
from application.ports.event_source import EventSource
from application.ports.exposition import Exposition
from application.ports.store import Store
from application.publish import PublishEvents
from domain.origins import Origins
from domain.routes import RouteTable
from entrypoints.profiles import load_table
from entrypoints.settings import Settings


class Configuration(Provider):
    """What the settings say, in the words of those who are told."""

    scope = Scope.APP
    settings = from_context(Settings)

    @provide
    def table(self, settings: Settings) -> RouteTable:
        return load_table(settings)

    @provide
    def origins(self, settings: Settings) -> Origins:
        return Origins(settings.origins)

    @provide
    def about(self, settings: Settings) -> About:
        return About(version=version("herald"), service=settings.service_name, auth=settings.auth)

    @provide
    def kafka(self, settings: Settings) -> KafkaSettings:
        return KafkaSettings(
            servers=settings.kafka_brokers,
            group=settings.kafka_group,
            client_id=settings.kafka_client_id,
            start=settings.kafka_start,
            security_protocol=settings.kafka_security_protocol,
            sasl_mechanism=settings.kafka_sasl_mechanism,
            sasl_username=settings.kafka_sasl_username,
            sasl_password=settings.kafka_sasl_password,
            ssl_cafile=settings.kafka_ssl_cafile,
        )


class Adapters(Provider):
    """The ports, and what stands behind them."""

    scope = Scope.APP

    clock = provide(SystemClock, provides=Clock)
    ids = provide(Uuid7Factory, provides=IdFactory)
    counters = provide(Counters)
    broker = provide(MemoryBroker)
    exposition = provide(PrometheusExposition, provides=Exposition)

    @provide
    def store(self, ids: IdFactory) -> Store:
        return MemoryStore(ids)

    @provide
    def backplane(self) -> Backplane:
        return MemoryBackplane()

    @provide
    def publisher(self, broker: MemoryBroker) -> EventPublisher:
        return broker

    @provide
    def sources(
        self, broker: MemoryBroker, kafka: KafkaSettings, table: RouteTable, settings: Settings
    ) -> Sequence[EventSource]:
        """The brokers that the routes need, and the one within the process, for events that come by HTTP."""
        sources: list[EventSource] = [broker]
        if patterns := table.sources("kafka", settings.broker):
            sources.append(KafkaSource(kafka, patterns))
        return sources


class UseCases(Provider):
    """What Herald does, given the ports."""

    scope = Scope.APP

    open_session = provide(OpenSession)
    report_health = provide(ReportHealth)
    node = provide(Node)
    socket_gate = provide(SocketGate)
    stream_gate = provide(StreamGate)

    @provide
    def hub(self, store: Store, backplane: Backplane, clock: Clock, counters: Counters, settings: Settings) -> Hub:
        return Hub(
            store,
            backplane,
            clock,
            counters,
            heartbeat=settings.heartbeat_seconds,
            sessions_per_user=settings.max_sessions_per_user,
        )

    @provide
    def ingest(
        self,
        table: RouteTable,
        store: Store,
        backplane: Backplane,
        clock: Clock,
        counters: Counters,
        settings: Settings,
    ) -> IngestEvents:
        return IngestEvents(table, store, backplane, clock, counters, settings.max_event_bytes)

    @provide
    def consumers(self, ingest: IngestEvents, sources: Sequence[EventSource]) -> Sequence[ConsumeEvents]:
        return [ConsumeEvents(ingest, source) for source in sources]

    @provide
    def publish(
        self, table: RouteTable, publisher: EventPublisher, clock: Clock, ids: IdFactory, settings: Settings
    ) -> PublishEvents:
        return PublishEvents(table, publisher, clock, ids, settings.max_event_bytes)

    @provide
    async def identify(self, settings: Settings, store: Store, clock: Clock) -> AsyncIterator[IdentifyCaller]:
        if settings.auth == "open":
            yield IdentifyCaller(None, store, clock)
            return
        verifier = JwtVerifier(settings.jwt)
        yield IdentifyCaller(verifier, store, clock)
        await verifier.close()


def make_container(settings: Settings, *overrides: Provider) -> AsyncContainer:
    """The container of one process. An override must say so (`override=True`), so that none overrides by accident."""
    return make_async_container(
        Configuration(),
        Adapters(),
        UseCases(),
        *overrides,
        context={Settings: settings},
        validation_settings=STRICT_VALIDATION,
    )
