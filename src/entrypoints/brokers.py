"""The registry of brokers. A line here and a folder of adapters add one: settings, routes files and wiring follow."""

from typing import Any, Final

from adapters.kafka.broker import KAFKA
from adapters.memory.broker import MemoryBroker
from adapters.rabbitmq.broker import RABBITMQ
from application.ports.broker import Broker

BROKERS: Final[tuple[Broker[Any], ...]] = (KAFKA, RABBITMQ)

# The broker within the process is always there: events that are published over HTTP go through it.
BROKER_NAMES: Final = (*(broker.name for broker in BROKERS), MemoryBroker.name)
