"""The dependency injection container: combines all providers of a process."""

from collections.abc import AsyncIterator, Sequence

import msgspec
from dishka import STRICT_VALIDATION, AsyncContainer, Provider, Scope, make_async_container, provide

from adapters.clock import SystemClock, Uuid7Factory
from adapters.http.monitoring import About
from adapters.telemetry.prometheus import PrometheusExposition
from application.access.identify import IdentifyCaller
from application.access.limit_rate import LimitRate
from application.counters import Counters
from application.delivery.handle_deliveries import HandleDeliveries
from application.hub.hub import Hub
from application.hub.policy import HubPolicy, SessionPolicy
from application.inbox.browse_inbox import BrowseInbox
from application.inbox.follow_changes import FollowChanges
from application.inbox.list_types import ListTypes
from application.inbox.mark_notifications import MarkNotifications
from application.inbox.mark_seen import MarkSeen
from application.inbox.set_preferences import SetPreferences
from application.ingest.ingest_events import ConsumeEvents
from application.live.followable_streams import FollowableStreams
from application.live.open_session import OpenSession
from application.operations.report_backlog import BacklogPolicy, ReportBacklog
from application.ports.backlog_counts import Backlog
from application.ports.backplane import Backplane
from application.ports.clock import Clock, IdFactory
from application.ports.exposition import Exposition
from application.ports.presence import Presence
from application.ports.store import Store
from application.routes_in_force import RoutesInForce
from entrypoints.channels import CHANNELS, OutboundChannel, OutboundChannels
from entrypoints.settings.loader import Settings
from entrypoints.wiring.configuration import Configuration, provided, values
from entrypoints.wiring.delivery import Delivery
from entrypoints.wiring.ingest import Ingest
from entrypoints.wiring.mail import MailFolderReading
from entrypoints.wiring.node import NodeLists
from entrypoints.wiring.node_connections import nodes
from entrypoints.wiring.reload import Reload
from entrypoints.wiring.socket_listener import SecondListener
from entrypoints.wiring.storage import storage
from entrypoints.wiring.web_access import Web


class Core(Provider):
    """Provides the clock, the factory of ids, the counters, the backlog of the store, and the rendering of metrics."""

    scope = Scope.APP

    clock = provide(SystemClock, provides=Clock)
    ids = provide(Uuid7Factory, provides=IdFactory)
    counters = provide(Counters)

    @provide
    def report_backlog(
        self, backlog: Backlog, clock: Clock, channels: OutboundChannels, policy: BacklogPolicy
    ) -> ReportBacklog:
        return ReportBacklog(backlog, clock, [channel.name for channel in channels.all], policy)

    @provide
    def exposition(
        self,
        counters: Counters,
        hub: Hub,
        consumers: Sequence[ConsumeEvents],
        report_backlog: ReportBacklog,
        about: About,
    ) -> Exposition:
        labels = {"node": about.node, "service": about.service, "version": about.version}
        return PrometheusExposition(counters, hub, consumers, report_backlog, labels)


class UseCases(Provider):
    """Provides the hub, the identification of callers, and the use cases of clients and administrators."""

    scope = Scope.APP

    followable_streams = provide(FollowableStreams)
    open_session = provide(OpenSession)
    limit_rate = provide(LimitRate)
    handle_deliveries = provide(HandleDeliveries)
    browse_inbox = provide(BrowseInbox)
    mark_notifications = provide(MarkNotifications)
    mark_seen = provide(MarkSeen)
    follow_changes = provide(FollowChanges)
    set_preferences = provide(SetPreferences)
    list_types = provide(ListTypes)

    @provide
    def hub(
        self,
        store: Store,
        backplane: Backplane,
        presence: Presence,
        clock: Clock,
        counters: Counters,
        hub: HubPolicy,
        session: SessionPolicy,
    ) -> Hub:
        return Hub(store, backplane, presence, clock, counters, msgspec.structs.replace(hub, session=session))

    @provide
    async def identify(self, settings: Settings, store: Store, clock: Clock) -> AsyncIterator[IdentifyCaller]:
        if settings.server.auth == "open":
            yield IdentifyCaller(None, store, clock)
            return
        # Imported here, because importing cryptography takes a while and is not needed without tokens.
        from adapters.jwt.verifier import JwtVerifier

        verifier = JwtVerifier(settings.jwt)
        verifier.start()
        yield IdentifyCaller(verifier, store, clock)
        await verifier.close()


def make_container(
    settings: Settings, routes: RoutesInForce, *overrides: Provider, channels: Sequence[OutboundChannel] = CHANNELS
) -> AsyncContainer:
    """Returns the container of one process. `overrides`: providers that replace others, in tests. Their factories must
    be declared with `override=True`; without it, replacing a factory is an error."""
    context = values(settings, routes, OutboundChannels(tuple(channels)))
    return make_async_container(
        Configuration(),
        provided(context),
        Core(),
        storage(settings),
        nodes(settings),
        Delivery(),
        MailFolderReading(),
        Ingest(),
        UseCases(),
        Web(),
        SecondListener(),
        Reload(),
        NodeLists(),
        *overrides,
        context=context,
        validation_settings=STRICT_VALIDATION,
    )
