"""What the settings say, as the structs of those who use it."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final, TypeVar

import msgspec
from dishka import Provider, Scope, from_context, provide

from adapters.kafka.settings import KafkaSettings
from adapters.rabbitmq.settings import RabbitSettings
from application.access.limit_rate import Rates
from application.inbox.read_muted import Pace
from application.ingest.ingest_events import RetryPolicy
from application.ingest.note_duplicates import DuplicatesPolicy
from application.ingest.publish import MOST_EVENTS
from application.ingest.store_plans import StoragePolicy
from application.operations.health import HealthPolicy
from application.ports.retention import Keep, Keeping
from application.ports.throttle import Rate
from domain.planning import Limits
from domain.routes import RouteTable
from entrypoints.settings.loader import Settings

# A caller may be this far ahead of its rate: a page that loads, or a device that reconnects, sends many requests
# together and few afterwards. Publishers are paced by the second, but no list that is allowed may be refused.
BURST_S: Final = 10

# Limits and timings that no setting changes.
POLICIES: Final[Sequence[msgspec.Struct]] = (
    StoragePolicy(),
    RetryPolicy(),
    DuplicatesPolicy(),
    HealthPolicy(),
    Pace(),
)

T = TypeVar("T")


class Configuration(Provider):
    scope = Scope.APP
    settings = from_context(Settings)
    table = from_context(RouteTable)

    @provide
    def limits(self, settings: Settings) -> Limits:
        return Limits(
            settings.max_event_bytes, settings.mail_addresses, settings.max_recipients, settings.max_fanout_bytes
        )

    @provide
    def rates(self, settings: Settings) -> Rates:
        return Rates(
            rest=_rate(settings.rest_rate, settings.rest_rate * BURST_S),
            publish=_rate(settings.publish_rate, max(settings.publish_rate, MOST_EVENTS)),
            connect=_rate(settings.connect_rate, settings.connect_rate * BURST_S),
        )

    @provide
    def keeping(self, settings: Settings) -> Keeping:
        return Keeping(
            inbox=Keep(timedelta(days=settings.keep_inbox_days), settings.keep_inbox_entries),
            feed=Keep(timedelta(days=settings.keep_feed_days), settings.keep_feed_entries),
            dead_letters=Keep(timedelta(days=settings.keep_dead_letter_days), settings.keep_dead_letters),
            deliveries=Keep(timedelta(days=settings.keep_delivery_days), settings.keep_deliveries),
        )


def policies() -> Provider:
    """Provides each of POLICIES by its type; the values are in the container's context (see `policy_context`)."""
    provider = Provider(scope=Scope.APP)
    for policy in POLICIES:
        provider.from_context(provides=type(policy))
    return provider


def policy_context() -> dict[Any, Any]:
    return {type(policy): policy for policy in POLICIES}


def broker_settings(settings: Settings, kind: type[T]) -> T:
    made: T = BROKER_SETTINGS[kind](settings)
    return made


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


def rabbit_settings(settings: Settings) -> RabbitSettings:
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
    )


BROKER_SETTINGS: Final[dict[Any, Any]] = {KafkaSettings: kafka_settings, RabbitSettings: rabbit_settings}


def _rate(per_second: float, burst: float) -> Rate | None:
    return Rate(per_second, max(1, int(burst))) if per_second else None
