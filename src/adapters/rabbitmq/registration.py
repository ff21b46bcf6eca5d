"""Registers RabbitMQ as a broker that events can be read from."""

from adapters.rabbitmq.settings import RabbitSettings
from application.ports.broker import Broker, SourceContext
from application.ports.event_source import EventSource


def make_source(settings: RabbitSettings, context: SourceContext) -> EventSource:
    """Returns an event source that reads RabbitMQ. Raises OSError if the file HERALD_RABBITMQ_CAFILE can't be read."""
    # Imported here: aiormq takes longer to load than most commands run.
    from adapters.rabbitmq.source import RabbitSource

    return RabbitSource(settings, context.patterns, max_event_bytes=context.max_event_bytes)


RABBITMQ = Broker("rabbitmq", RabbitSettings, make_source)
