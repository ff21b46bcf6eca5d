"""Provides the reload of the routes."""

from collections.abc import Sequence

from dishka import Provider, Scope, provide

from application.counters import Counters
from application.ingest.keep_bindings import KeepBindings
from application.live.recheck_sessions import RecheckSessions
from application.operations.reload_routes import ReloadRequests, ReloadRoutes
from application.ports.event_source import EventSource
from application.ports.routes_loader import RoutesLoader
from application.routes_in_force import RoutesInForce
from entrypoints.brokers import BROKERS
from entrypoints.channels import OutboundChannels
from entrypoints.profiles.configured_routes import ConfiguredRoutes
from entrypoints.settings.loader import Settings


class Reload(Provider):
    scope = Scope.APP

    requests = provide(ReloadRequests)
    recheck_sessions = provide(RecheckSessions)

    @provide
    def loader(self, settings: Settings, channels: OutboundChannels) -> RoutesLoader:
        return ConfiguredRoutes(settings, channels.all)

    @provide
    def reload_routes(
        self,
        requests: ReloadRequests,
        loader: RoutesLoader,
        routes: RoutesInForce,
        sources: Sequence[EventSource],
        bindings: KeepBindings,
        recheck_sessions: RecheckSessions,
        counters: Counters,
        settings: Settings,
    ) -> ReloadRoutes:
        brokers = [broker.name for broker in BROKERS]
        return ReloadRoutes(
            requests, loader, routes, sources, bindings, recheck_sessions, counters, brokers, settings.routing.broker
        )
