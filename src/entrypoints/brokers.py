"""The registry of brokers. To add one, write a folder of adapters and a line here: settings, routes files and wiring
follow.
"""

from typing import Any, Final

from adapters.kafka.broker import KAFKA
from adapters.memory.broker import MemoryBroker
from adapters.rabbitmq.broker import RABBITMQ
from application.ports.broker import Broker

BROKERS: Final[tuple[Broker[Any], ...]] = (KAFKA, RABBITMQ)

# The in-process broker is always present: it transports the events that are published over HTTP.
BROKER_NAMES: Final = (*(broker.name for broker in BROKERS), MemoryBroker.name)
