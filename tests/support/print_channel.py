"""A test channel that appends lines to a file. `docs/channels.md` explains a similar one step by step."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import ClassVar

import msgspec

from application.delivery.channel import PeerUnavailable, Receipt, Refusal, Refused
from application.delivery.dispatch_policy import DispatchPolicy
from domain.backoff import Backoff
from domain.channel_tables import ChannelPlan, ChannelTable
from domain.deliveries import Delivery
from domain.events import Event
from domain.payload_paths import at_path, values_at
from domain.text_templates import fill
from domain.user_ids import as_user
from domain.verbatim_fields import VerbatimFields
from entrypoints.channels import OutboundChannel
from entrypoints.settings.loader import Settings


class PrintTable(ChannelTable, frozen=True):
    """`print = { to = "names", line = "{order_id} shipped" }`, optionally with `user` and `delay_seconds`."""

    channel: ClassVar[str] = "print"

    to: str
    line: str
    user: str | None = None
    delay_seconds: float = 0.0
    ink: str = "black"

    @property
    def text_templates(self) -> Mapping[str, str]:
        return {"line": self.line}

    def plan(self, event: Event, fields: VerbatimFields, max_destinations: int) -> ChannelPlan:
        return ChannelPlan(
            destinations=[str(value) for value in values_at(event.payload, self.to)[: max_destinations + 1]],
            subject=fill(self.line, fields),
            user=as_user(at_path(event.payload, self.user)) if self.user else None,
            options={"ink": self.ink},
            due_at=event.time + timedelta(seconds=self.delay_seconds) if self.delay_seconds else None,
        )


class Line(msgspec.Struct, frozen=True):
    destination: str
    text: str


class PrintChannel:
    """Implements Channel. Each destination is a peer of its own. If `answer` is set, it raises the outcome of an
    attempt."""

    name = PrintTable.channel
    peer = None

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.answer: Callable[[Line], None] = lambda line: None

    async def prepare(self, delivery: Delivery) -> Line | Refusal:
        item = delivery.item
        if item.subject is None:
            return Refusal("the event lacks what the line is made of")
        return Line(delivery.destination, f"{delivery.id} {item.subject} ({item.options['ink']}, {item.payload})")

    async def send(self, prepared: Line, deadline: float) -> Receipt:
        self.answer(prepared)
        if prepared.destination == "nowhere":
            raise Refused("there is no such printer")
        try:
            with (self._folder / prepared.destination).open("a") as file:
                file.write(f"{prepared.text}\n")
        except OSError as error:
            raise PeerUnavailable(str(error)) from error
        return Receipt(None, "printed")

    def breaker_key(self, delivery: Delivery) -> str:
        return delivery.destination

    async def probe(self, key: str, deadline: float) -> None:
        return None

    async def close(self) -> None:
        return None


def printing(channel: PrintChannel) -> OutboundChannel:
    def open(settings: Settings) -> tuple[PrintChannel, DispatchPolicy]:
        return channel, DispatchPolicy(poll_seconds=0.01, retry=Backoff(0.01, 3_600), pause=Backoff(0.01, 30))

    return OutboundChannel(PrintTable, open)
