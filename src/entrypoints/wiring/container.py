"""The wiring: which implementation stands behind which port, and who is given what. It reads as a table."""

from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from importlib.metadata import version
from urllib.parse import urlsplit

from dishka import STRICT_VALIDATION, AsyncContainer, Provider, Scope, from_context, make_async_container, provide

from adapters.clock import SystemClock, Uuid7Factory
from adapters.http.auth import Caller
from adapters.http.ops import About
from adapters.jwt.verifier import JwtVerifier
from adapters.kafka.settings import KafkaSettings
from adapters.kafka.source import KafkaSource
from adapters.memory.broker import MemoryBroker
from adapters.rabbitmq.settings import RabbitSettings
from adapters.rabbitmq.source import RabbitSource
from adapters.sockets.event_stream import StreamGate
from adapters.sockets.websocket import Capacity, Pending, SocketGate
from adapters.telemetry.prometheus import PrometheusExposition
from adapters.web.origins import LOOPBACK, LOOPBACK_HOSTS, Hosts, Origins, host_of, origin_of
from application.access.identify import IdentifyCaller
from application.access.limit_rate import LimitRate, Rates
from application.counters import Counters
from application.delivery.handle_deliveries import HandleDeliveries
from application.hub.hub import Hub
from application.inbox.browse_inbox import BrowseInbox
from application.inbox.follow_changes import FollowChanges
from application.inbox.mark_notifications import MarkNotifications
from application.inbox.read_muted import ReadMuted
from application.inbox.set_preferences import SetPreferences
from application.ingest.handle_dead_letters import HandleDeadLetters
from application.ingest.ingest_events import ConsumeEvents, IngestEvents, RetryPolicy
from application.ingest.keep_bindings import KeepBindings
from application.ingest.note_duplicates import NoteDuplicates
from application.ingest.publish import MOST_EVENTS, PublishEvents
from application.ingest.store_plans import StoragePolicy, StorePlans
from application.live.open_session import OpenSession
from application.operations.health import ReportHealth
from application.operations.node import Node
from application.operations.prune_store import PruneStore
from application.ports.backplane import Backplane
from application.ports.bindings import Bindings
from application.ports.clock import Clock, IdFactory
from application.ports.event_publisher import EventPublisher
from application.ports.event_source import EventSource
from application.ports.exposition import Exposition
from application.ports.inboxes import Inboxes
from application.ports.presence import Presence
from application.ports.retention import Keep, Keeping
from application.ports.start_offsets import StartOffsets
from application.ports.store import Store
from application.ports.throttle import Rate
from domain.planning import Limits
from domain.routes import RouteTable
from entrypoints.descriptors import BACKLOG, raised_limit, share_out
from entrypoints.profiles.loader import load_table
from entrypoints.settings.loader import Settings
from entrypoints.wiring.mail import Mailing
from entrypoints.wiring.nodes import nodes
from entrypoints.wiring.storage import storage

# Seconds that callers may be ahead of their rate: a page that loads, or a device that comes back, asks for many things
# at once and for little afterwards. Publishers are paced by the second, but no list that is allowed may be refused.
BURST_SECONDS = 10


class Configuration(Provider):
    """What the settings say, in the words of those who are told."""

    scope = Scope.APP
    settings = from_context(Settings)

    @provide
    def table(self, settings: Settings) -> RouteTable:
        return load_table(settings)

    @provide
    def origins(self, settings: Settings) -> Origins:
        return allowed_origins(settings)

    @provide
    def about(self, settings: Settings) -> About:
        return About(version=version("herald"), service=settings.service_name, node=settings.node, auth=settings.auth)

    @provide
    def limits(self, settings: Settings) -> Limits:
        return Limits(
            settings.max_event_bytes, settings.mail_addresses, settings.max_recipients, settings.max_fanout_bytes
        )

    @provide
    def pending(self, settings: Settings) -> Pending:
        return Pending(settings.max_pending_sockets)

    @provide
    def capacity(self, settings: Settings) -> Capacity:
        return Capacity(share_out(raised_limit(), settings, BACKLOG).sockets)

    @provide
    def rates(self, settings: Settings) -> Rates:
        return Rates(
            rest=_rate(settings.rest_rate, settings.rest_rate * BURST_SECONDS),
            publish=_rate(settings.publish_rate, max(settings.publish_rate, MOST_EVENTS)),
            connect=_rate(settings.connect_rate, settings.connect_rate * BURST_SECONDS),
        )

    @provide
    def storage_policy(self) -> StoragePolicy:
        return StoragePolicy()

    @provide
    def keeping(self, settings: Settings) -> Keeping:
        return Keeping(
            inbox=Keep(timedelta(days=settings.keep_inbox_days), settings.keep_inbox_entries),
            feed=Keep(timedelta(days=settings.keep_feed_days), settings.keep_feed_entries),
            dead_letters=Keep(timedelta(days=settings.keep_dead_letter_days), settings.keep_dead_letters),
            deliveries=Keep(timedelta(days=settings.keep_delivery_days), settings.keep_deliveries),
        )

    @provide
    def kafka(self, settings: Settings) -> KafkaSettings:
        return kafka_settings(settings)

    @provide
    def rabbitmq(self, settings: Settings) -> RabbitSettings:
        return RabbitSettings(
            host=settings.rabbitmq_host,
            port=settings.rabbitmq_port,
            user=settings.rabbitmq_user,
            password=settings.rabbitmq_pass,
            vhost=settings.rabbitmq_vhost,
            exchange=settings.rabbitmq_exchange,
            queue=settings.rabbitmq_queue,
            prefetch=settings.rabbitmq_prefetch,
            tls=settings.rabbitmq_tls == "on",
            cafile=settings.rabbitmq_cafile,
            max_event_bytes=settings.max_event_bytes,
        )


def allowed_origins(settings: Settings) -> Origins:
    return Origins(settings.origins, origin_of(settings.public_url) if settings.public_url else None)


def allowed_hosts(settings: Settings) -> Hosts:
    """HERALD_HOSTS; without it, where only pages of this machine are allowed, this machine's names and the address
    that Herald listens on, which no other name can be made to mean. The public URL's host is always one."""
    named = settings.hosts
    if named is None:
        named = (LOOPBACK,) if settings.origins == (LOOPBACK,) else ("*",)
    if named == ("*",):
        return Hosts(None)
    hosts = {name for name in named if name != LOOPBACK}
    if LOOPBACK in named:
        hosts |= {*LOOPBACK_HOSTS, *_listening(settings)}
    if settings.public_url and (host := host_of(urlsplit(settings.public_url).netloc.rpartition("@")[2])):
        hosts.add(host)
    return Hosts(frozenset(hosts))


def _listening(settings: Settings) -> set[str]:
    """The one address that Herald listens on, as a host; empty where it listens on all."""
    host = host_of(f"[{settings.host}]" if ":" in settings.host else settings.host)
    return set() if host is None or host in ("0.0.0.0", "[::]") else {host}  # noqa: S104 - compared, not bound


def kafka_settings(settings: Settings) -> KafkaSettings:
    """What the settings say of Kafka."""
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


def _rate(per_second: float, burst: float) -> Rate | None:
    return Rate(per_second, max(1, int(burst))) if per_second else None


class Adapters(Provider):
    """The ports, and what stands behind them."""

    scope = Scope.APP

    clock = provide(SystemClock, provides=Clock)
    ids = provide(Uuid7Factory, provides=IdFactory)
    counters = provide(Counters)
    broker = provide(MemoryBroker)

    @provide
    def exposition(self, counters: Counters, hub: Hub, consumers: Sequence[ConsumeEvents], about: About) -> Exposition:
        labels = {"node": about.node, "service": about.service, "version": about.version}
        return PrometheusExposition(counters, hub, consumers, labels)

    @provide
    def publisher(self, broker: MemoryBroker) -> EventPublisher:
        return broker

    @provide
    def sources(
        self,
        broker: MemoryBroker,
        kafka: KafkaSettings,
        rabbitmq: RabbitSettings,
        table: RouteTable,
        start_offsets: StartOffsets,
        settings: Settings,
    ) -> Sequence[EventSource]:
        """The brokers that the routes need, and the one within the process, for events that come by HTTP."""
        sources: list[EventSource] = [broker]
        if patterns := table.sources("kafka", settings.broker):
            sources.append(KafkaSource(kafka, patterns, start_offsets))
        if patterns := table.sources("rabbitmq", settings.broker):
            sources.append(RabbitSource(rabbitmq, patterns))
        return sources


class UseCases(Provider):
    """What Herald does, given the ports."""

    scope = Scope.APP

    store_plans = provide(StorePlans)
    open_session = provide(OpenSession)
    limit_rate = provide(LimitRate)
    handle_dead_letters = provide(HandleDeadLetters)
    handle_deliveries = provide(HandleDeliveries)
    browse_inbox = provide(BrowseInbox)
    mark_notifications = provide(MarkNotifications)
    follow_changes = provide(FollowChanges)
    set_preferences = provide(SetPreferences)
    caller = provide(Caller)
    report_health = provide(ReportHealth)
    prune_store = provide(PruneStore)
    node = provide(Node)
    socket_gate = provide(SocketGate)
    stream_gate = provide(StreamGate)

    @provide
    def read_muted(self, inboxes: Inboxes, backplane: Backplane, clock: Clock, counters: Counters) -> ReadMuted:
        return ReadMuted(inboxes, backplane, clock, counters)

    @provide
    def hub(
        self,
        store: Store,
        backplane: Backplane,
        presence: Presence,
        clock: Clock,
        counters: Counters,
        settings: Settings,
    ) -> Hub:
        return Hub(
            store,
            backplane,
            presence,
            clock,
            counters,
            heartbeat=settings.heartbeat_seconds,
            sessions_per_user=settings.max_sessions_per_user,
            anonymous_sessions=settings.max_anonymous_sessions,
        )

    @provide
    def note_duplicates(self, table: RouteTable, clock: Clock, counters: Counters) -> NoteDuplicates:
        return NoteDuplicates(table, clock, counters)

    @provide
    def keep_bindings(
        self, sources: Sequence[EventSource], bindings: Bindings, clock: Clock, settings: Settings
    ) -> KeepBindings:
        queues = {source.name: source.queue for source in sources if isinstance(source, RabbitSource)}
        return KeepBindings(settings.node, queues, bindings, clock)

    @provide
    def ingest(
        self,
        table: RouteTable,
        store_plans: StorePlans,
        backplane: Backplane,
        counters: Counters,
        note_duplicates: NoteDuplicates,
        limits: Limits,
        keep_bindings: KeepBindings,
    ) -> IngestEvents:
        return IngestEvents(table, store_plans, backplane, counters, note_duplicates, limits, keep_bindings)

    @provide
    def consumers(self, ingest: IngestEvents, sources: Sequence[EventSource]) -> Sequence[ConsumeEvents]:
        return [ConsumeEvents(ingest, source, RetryPolicy()) for source in sources]

    @provide
    def publish(
        self, table: RouteTable, publisher: EventPublisher, clock: Clock, ids: IdFactory, limits: Limits
    ) -> PublishEvents:
        return PublishEvents(table, publisher, clock, ids, limits)

    @provide
    async def identify(self, settings: Settings, store: Store, clock: Clock) -> AsyncIterator[IdentifyCaller]:
        if settings.auth == "open":
            yield IdentifyCaller(None, store, clock)
            return
        verifier = JwtVerifier(settings.jwt)
        verifier.start()
        yield IdentifyCaller(verifier, store, clock)
        await verifier.close()


def make_container(settings: Settings, *overrides: Provider) -> AsyncContainer:
    """The container of one process. An override must say so (`override=True`), so that none overrides by accident."""
    return make_async_container(
        Configuration(),
        Adapters(),
        storage(settings),
        nodes(settings),
        Mailing(),
        UseCases(),
        *overrides,
        context={Settings: settings},
        validation_settings=STRICT_VALIDATION,
    )
