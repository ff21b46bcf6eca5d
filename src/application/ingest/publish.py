"""Publishing events directly, without another broker."""

import asyncio
from collections.abc import Sequence
from typing import Annotated, Final

import msgspec

from application.ingest.plan_events import plan_events
from application.ports.clock import Clock, IdFactory
from application.ports.event_publisher import EventPublisher
from domain.errors import InvalidInput, Unavailable
from domain.limits import NO_LIMITS, Limits
from domain.messages import Message
from domain.planning import Plan, plan
from domain.routes import RouteTable

# Events of one request: as many as ingest stores in one transaction.
MOST_EVENTS: Final = 500

# What a routing key of AMQP 0-9-1 may have; a topic of Kafka has 249.
MAX_SOURCE_BYTES: Final = 255

# Seconds a publisher waits for its events to be stored.
PATIENCE: Final = 20.0


class NewEvent(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An event as it is published to Herald itself.

    `source` is what a topic or routing key would be, and may be no longer than these: 255 bytes. `payload` is any JSON;
    text stands for itself, so that what is no JSON can be published too. `id` makes publishing it again harmless. `key`
    is kept beside it.
    """

    source: Annotated[str, msgspec.Meta(max_length=MAX_SOURCE_BYTES)]
    payload: msgspec.Raw
    id: str | None = None
    type: str | None = None
    key: str | None = None


class PublishEvents:
    """Puts events through the same ingest as every broker's, and returns their ids once all are stored.

    All or none: if one can't be processed, none is taken, since its publisher is here to be told (InvalidInput).
    Unavailable if they are not stored in time: they may be later, so publish again with the same ids.
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
            # Decoders count characters, which may have several bytes.
            if len(event.source.encode()) > MAX_SOURCE_BYTES:
                field = f"[{index}].source" if len(events) > 1 else "source"
                raise InvalidInput(f"A source may have {MAX_SOURCE_BYTES} bytes at most.", field)
        messages = [self._message(event) for event in events]
        ids = []
        for index, outcome in enumerate(await plan_events(messages, self._plan)):
            if outcome.dead_letter is not None:
                raise InvalidInput(outcome.dead_letter.detail, f"[{index}]" if len(messages) > 1 else None)
            ids.append(outcome.event_id)
        try:
            async with asyncio.timeout(PATIENCE):
                await self._publisher.publish(messages)
        except TimeoutError:
            raise Unavailable("The events are not stored yet: publish them again, with the same ids.") from None
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
