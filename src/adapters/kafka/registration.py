"""Registers Kafka (and brokers that speak its protocol) as a broker that Herald can read from."""

from adapters.kafka.settings import KafkaSettings
from application.ports.broker import Broker, SourceContext
from application.ports.event_source import EventSource


def make_source(settings: KafkaSettings, context: SourceContext) -> EventSource:
    """Creates the event source. Raises OSError if the CA file cannot be read."""
    # Imported here: aiokafka takes longer to load than most commands run.
    from adapters.kafka.source import KafkaSource

    return KafkaSource(settings, context.patterns, context.start_offsets)


KAFKA = Broker("kafka", KafkaSettings, make_source)
