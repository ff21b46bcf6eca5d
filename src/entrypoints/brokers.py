"""The registry of brokers. To add a broker, write its adapter and add it to BROKERS: its settings, its name in routes
files and its event source are derived from this entry."""

from typing import Any, Final

from adapters.kafka.registration import KAFKA
from adapters.memory.broker import MemoryBroker
from adapters.rabbitmq.registration import RABBITMQ
from application.ports.broker import Broker

BROKERS: Final[tuple[Broker[Any], ...]] = (KAFKA, RABBITMQ)

# All brokers that a profile may name. The in-process broker is always available: it carries the events that are
# published over HTTP.
BROKER_NAMES: Final = (*(broker.name for broker in BROKERS), MemoryBroker.name)
