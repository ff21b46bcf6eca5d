"""Registers RabbitMQ as a broker that Herald can read from."""

from adapters.rabbitmq.settings import RabbitSettings
from application.ports.broker import Broker, SourceContext
from application.ports.event_source import EventSource


def make_source(settings: RabbitSettings, context: SourceContext) -> EventSource:
    """Creates the event source. Raises OSError if the CA file cannot be read."""
    # Imported here: aiormq takes longer to load than most commands run.
    from adapters.rabbitmq.source import RabbitSource

    return RabbitSource(settings, context.patterns, max_event_bytes=context.max_event_bytes)


RABBITMQ = Broker("rabbitmq", RabbitSettings, make_source)
