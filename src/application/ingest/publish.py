"""The use case of `POST /api/v1/events`: publishing events to Herald over HTTP, without a broker."""

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Annotated, Final

import msgspec

from application.ingest.plan_events import STEP_BYTES, plan_events
from application.ports.clock import Clock, IdFactory
from application.ports.event_publisher import EventPublisher
from application.routes_in_force import RoutesInForce
from domain.broker_messages import Message
from domain.caller_errors import InvalidInput, Unavailable
from domain.event_limits import NO_LIMITS, Limits
from domain.planning import plan

# Maximum number of events in one request: the size of one batch of ingest.
MAX_EVENTS: Final = 500

# The maximum length of a routing key in AMQP 0-9-1. Kafka topics have at most 249 characters.
MAX_SOURCE_BYTES: Final = 255

# Maximum number of seconds for storing the events of one request.
STORE_TIMEOUT_S: Final = 20.0


class NewEvent(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An event in the body of `POST /api/v1/events`.

    `source` stands for the topic or routing key of an event from a broker, and selects the routes; it has at most 255
    bytes. `payload` is any JSON value. If it is a JSON string, the text in it is the body of the event, so that
    payloads in other formats can be published. With an `id`, an event may be published again: Herald ignores the
    second one. `key` stands for the key of a Kafka record; Herald only shows it if the event becomes a dead letter.
    """

    source: Annotated[str, msgspec.Meta(max_length=MAX_SOURCE_BYTES)]
    payload: msgspec.Raw
    id: str | None = None
    type: str | None = None
    key: str | None = None


class PublishEvents:
    """Publishes events from HTTP to the same ingest that processes the events of brokers. Returns their ids, in the
    same order, when all are stored.

    Raises InvalidInput if one of the events can't be processed; then none is published. Raises Unavailable if the
    events are not stored within 20 s: some may be stored later, so publish all again with the same ids.
    """

    def __init__(
        self,
        routes: RoutesInForce,
        publisher: EventPublisher,
        clock: Clock,
        ids: IdFactory,
        limits: Limits = NO_LIMITS,
    ) -> None:
        self._routes = routes
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
        messages = await self._messages(events)
        ids = []
        make_plan = partial(plan, table=self._routes.table, limits=self._limits)
        for index, outcome in enumerate(await plan_events(messages, make_plan)):
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

    async def _messages(self, events: Sequence[NewEvent]) -> list[Message]:
        """Returns the message of each event. Lets other tasks run between groups of events, because decoding the text
        of large payloads takes a while."""
        messages: list[Message] = []
        size = 0
        for event in events:
            message = self._message(event)
            messages.append(message)
            size += len(message.body or b"")
            if size > STEP_BYTES:
                await asyncio.sleep(0)
                size = 0
        return messages

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
