"""Provides settings, policies, routes and channels, each by its type."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from dishka import Provider, Scope, provide

from application.access.limit_rate import Rates
from application.access.rate_settings import RateSettings
from application.inbox.mark_muted_read import Pace
from application.inbox.mark_notifications import BulkChangePolicy
from application.ingest.handle_dead_letters import HandlingPolicy
from application.ingest.ingest_events import RetryPolicy
from application.ingest.note_duplicates import DuplicatesPolicy
from application.ingest.publish import MAX_EVENTS
from application.ingest.store_plans import StoragePolicy
from application.operations.health import HealthPolicy
from application.operations.prune_store import PruningPolicy
from application.operations.report_backlog import BacklogPolicy
from application.operations.retention_settings import RetentionSettings
from application.ports.retention import Keeping
from application.routes_in_force import RoutesInForce
from entrypoints.channels import OutboundChannels
from entrypoints.settings.loader import Settings

# Limits and timings that are not settings.
POLICIES: Final[Sequence[msgspec.Struct]] = (
    StoragePolicy(),
    RetryPolicy(),
    DuplicatesPolicy(),
    HealthPolicy(),
    HandlingPolicy(),
    BulkChangePolicy(),
    PruningPolicy(),
    BacklogPolicy(),
    Pace(),
)


class Configuration(Provider):
    """Provides rate limits and retention limits, which are computed from settings."""

    scope = Scope.APP

    @provide
    def rates(self, settings: RateSettings) -> Rates:
        return settings.rates(max_published=MAX_EVENTS)

    @provide
    def keeping(self, settings: RetentionSettings) -> Keeping:
        return settings.keeping


def values(settings: Settings, routes: RoutesInForce, channels: OutboundChannels) -> dict[Any, Any]:
    """Returns objects that the container provides as they are, keyed by their type: the settings and each of their
    sections, the policies, the routes and the channels."""
    return {type(value): value for value in (settings, routes, channels, *settings.sections(), *POLICIES)}


def provided(context: dict[Any, Any]) -> Provider:
    """Returns a provider of the objects that `values` returned, each by its type."""
    provider = Provider(scope=Scope.APP)
    for kind in context:
        provider.from_context(provides=kind)
    return provider
