"""Provides the sending of deliveries: one dispatcher for each outbound channel."""

from collections.abc import Collection, Sequence
from functools import partial

from dishka import Provider, Scope, provide

from application.counters import Counters
from application.delivery.dispatcher import Dispatcher
from application.delivery.dispatcher_service import DispatcherService
from application.ports.clock import Clock
from application.ports.deliveries import Deliveries
from application.routes_in_force import RoutesInForce
from entrypoints.channels import OutboundChannels
from entrypoints.settings.loader import Settings


class Delivery(Provider):
    scope = Scope.APP

    @provide
    def services(
        self,
        channels: OutboundChannels,
        settings: Settings,
        routes: RoutesInForce,
        deliveries: Deliveries,
        clock: Clock,
        counters: Counters,
    ) -> Sequence[DispatcherService]:
        services: list[DispatcherService] = []
        for registered in channels.all:
            channel, policy = registered.open(settings)
            templates = partial(_templates, routes, registered.name)
            dispatcher = Dispatcher(channel, deliveries, clock, counters, policy, templates)
            services.append(DispatcherService(dispatcher, registered.health or registered.name))
        return services


def _templates(routes: RoutesInForce, channel: str) -> Collection[str]:
    """Returns the names of the templates that the routes in force use for the channel."""
    return routes.table.templates_of(channel)
