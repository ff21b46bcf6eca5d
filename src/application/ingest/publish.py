"""Publishing events directly to Herald, without a broker."""

import asyncio
from collections.abc import Sequence
from typing import Annotated, Final

import msgspec

from application.ingest.plan_events import plan_events
from application.ports.clock import Clock, IdFactory
from application.ports.event_publisher import EventPublisher
from domain.broker_messages import Message
from domain.errors import InvalidInput, Unavailable
from domain.event_limits import NO_LIMITS, Limits
from domain.planning import Plan, plan
from domain.routes import RouteTable

# Maximum number of events in one request: the size of one batch of ingest.
MAX_EVENTS: Final = 500

# The maximum length of a routing key in AMQP 0-9-1. Kafka topics have at most 249 characters.
MAX_SOURCE_BYTES: Final = 255

# Maximum number of seconds for storing the events of one request.
STORE_TIMEOUT_S: Final = 20.0


class NewEvent(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An event that is published to Herald directly.

    `source` takes the place of the topic or routing key, and has at most 255 bytes. `payload` is any JSON. A JSON
    string is used as the raw body, so that payloads that are not JSON can be published too. `id` makes publishing
    idempotent. `key` is stored with the event.
    """

    source: Annotated[str, msgspec.Meta(max_length=MAX_SOURCE_BYTES)]
    payload: msgspec.Raw
    id: str | None = None
    type: str | None = None
    key: str | None = None


class PublishEvents:
    """Passes events to the same ingest as the events of brokers, and returns their ids once all are stored.

    Accepts all events or none: raises InvalidInput if one of them can't be processed. Raises Unavailable if they are
    not stored within 20 s. They may be stored later, so publish them again with the same ids.
    """

    def __init__(
        self,
        table: RouteTable,
        publisher: EventPublisher,
        clock: Clock,
        ids: IdFactory,
        limits: Limits = NO_LIMITS,
    ) -> None:
        self._table = table
        self._publisher = publisher
        self._clock = clock
        self._ids = ids
        self._limits = limits

    async def __call__(self, events: Sequence[NewEvent]) -> list[str]:
        for index, event in enumerate(events):
            # The decoder's limit counts characters, which may have several bytes.
            if len(event.source.encode()) > MAX_SOURCE_BYTES:
                field = f"[{index}].source" if len(events) > 1 else "source"
                raise InvalidInput(f"The source has more than {MAX_SOURCE_BYTES} bytes.", field)
        messages = [self._message(event) for event in events]
        ids = []
        for index, outcome in enumerate(await plan_events(messages, self._plan)):
            if outcome.dead_letter is not None:
                raise InvalidInput(outcome.dead_letter.detail, f"[{index}]" if len(messages) > 1 else None)
            ids.append(outcome.event_id)
        try:
            async with asyncio.timeout(STORE_TIMEOUT_S):
                await self._publisher.publish(messages)
        except TimeoutError:
            raise Unavailable(
                "The events were not stored in time, but may be stored later: publish them again with the same ids."
            ) from None
        return ids

    def _plan(self, message: Message) -> Plan:
        return plan(message, self._table, self._limits)

    def _message(self, event: NewEvent) -> Message:
        attributes = {"ce_id": event.id, "ce_type": event.type}
        headers = {name: value for name, value in attributes.items() if value}
        if headers:
            headers["ce_specversion"] = "1.0"
        return Message(
            source=event.source,
            body=_text_or_json(event.payload),
            time=self._clock.now(),
            fallback_id=self._ids.new_id().hex,
            headers=headers,
            key=event.key,
        )


def _text_or_json(payload: msgspec.Raw) -> bytes:
    raw = bytes(payload)
    if not raw.startswith(b'"'):
        return raw
    try:
        return msgspec.json.decode(raw, type=str).encode()
    except UnicodeDecodeError:
        raise InvalidInput("The payload is not UTF-8.") from None
