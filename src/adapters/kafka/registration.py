"""Registers Kafka as a broker that events can be read from. Brokers with Kafka's protocol, such as Redpanda, are read
in the same way."""

from adapters.kafka.settings import KafkaSettings
from application.ports.broker import Broker, SourceContext
from application.ports.event_source import EventSource


def make_source(settings: KafkaSettings, context: SourceContext) -> EventSource:
    """Returns an event source that reads Kafka. Raises OSError if the file HERALD_KAFKA_SSL_CAFILE can't be read."""
    # Imported here: aiokafka takes longer to load than most commands run.
    from adapters.kafka.source import KafkaSource

    return KafkaSource(settings, context.patterns, context.start_offsets)


KAFKA = Broker("kafka", KafkaSettings, make_source)
