"""Provides the node with its services, and its health checks."""

from collections.abc import Sequence

from dishka import Provider, Scope, provide

from application.delivery.dispatcher_service import DispatcherService
from application.inbox.mark_muted_read import MarkMutedRead
from application.ingest.ingest_events import ConsumeEvents
from application.ingest.keep_bindings import KeepBindings
from application.operations.background_task import BackgroundTask
from application.operations.health import ReportHealth
from application.operations.health_checks import CheckBackplane, CheckDraining, CheckSource, CheckStore, CheckTokens
from application.operations.live_service import LiveService
from application.operations.node import Node
from application.operations.prune_store import PruneStore
from application.operations.reload_routes import ReloadRoutes
from application.ports.clock import Clock
from application.ports.health_check import HealthCheck
from application.ports.service import Service
from entrypoints.wiring.socket_listener import SocketListeners


class NodeLists(Provider):
    scope = Scope.APP

    node = provide(Node)
    report_health = provide(ReportHealth)
    live = provide(LiveService)
    prune_store = provide(PruneStore)
    mark_muted_read = provide(MarkMutedRead)
    check_store = provide(CheckStore)
    check_backplane = provide(CheckBackplane)
    check_draining = provide(CheckDraining)
    check_tokens = provide(CheckTokens)

    @provide
    def services(
        self,
        live: LiveService,
        prune_store: PruneStore,
        mark_muted_read: MarkMutedRead,
        deliveries: Sequence[DispatcherService],
        keep_bindings: KeepBindings,
        consumers: Sequence[ConsumeEvents],
        reload_routes: ReloadRoutes,
        listeners: SocketListeners,
    ) -> Sequence[Service]:
        """Returns the services of the node. Services of the same phase start in this order."""
        return [
            live,
            BackgroundTask("prune", prune_store.run),
            BackgroundTask("mark muted read", mark_muted_read.run),
            *deliveries,
            keep_bindings,
            *consumers,
            reload_routes,
            *listeners.all,
        ]

    @provide
    def checks(
        self,
        store: CheckStore,
        backplane: CheckBackplane,
        consumers: Sequence[ConsumeEvents],
        draining: CheckDraining,
        deliveries: Sequence[DispatcherService],
        tokens: CheckTokens,
        clock: Clock,
    ) -> Sequence[HealthCheck]:
        """Returns the health checks of the node, in the order in which `/health` lists them."""
        sources = (CheckSource(consumer, clock) for consumer in consumers)
        return [store, backplane, *sources, draining, *deliveries, tokens]
