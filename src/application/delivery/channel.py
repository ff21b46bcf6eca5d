"""The port for outbound channels: e-mail, and whatever else reaches people who are not connected."""

from typing import Literal, Protocol, TypeVar

import msgspec

from domain.deliveries import Delivery

# A delivery in the form in which the channel hands it over.
Prepared = TypeVar("Prepared")


class Receipt(msgspec.Struct, frozen=True):
    """The peer's reply when it accepted a delivery."""

    code: int | None
    text: str


class Refusal(msgspec.Struct, frozen=True):
    """Why a delivery can't be prepared, and what becomes of it; `pending` if it may succeed later."""

    text: str
    status: Literal["failed", "skipped", "pending"] = "failed"


class TemplateMissing(msgspec.Struct, frozen=True):
    """Why this node can't prepare a delivery that another node may be able to prepare: it has no usable template of
    that name."""

    text: str


class NotSent(Exception):
    """A delivery that was not sent, as far as is known. The text is the peer's last reply, or says what happened."""

    def __init__(self, text: str, code: int | None = None) -> None:
        super().__init__(text)
        self.code = code


class Deferred(NotSent):
    """The peer may accept it later, or no answer came in time."""


class Refused(NotSent):
    """The peer will never accept it."""


class PeerUnavailable(NotSent):
    """The peer can't be reached, or accepts nothing from us now, whatever the delivery. `refused_us` if it answered and
    refused us: the attempt does not count against the delivery then."""

    def __init__(self, text: str, code: int | None = None, *, refused_us: bool = False) -> None:
        super().__init__(text, code)
        self.refused_us = refused_us


class Channel(Protocol[Prepared]):
    """One way in which deliveries reach their destinations. A dispatcher claims them, and records what came of it.

    Several deliveries are prepared and sent concurrently.
    """

    @property
    def name(self) -> str:
        """As deliveries and routes name it."""

    @property
    def peer(self) -> str | None:
        """The one peer that accepts all deliveries of this channel, as health and logs name it (`host:port` of a mail
        server, say); None if each destination is its own."""

    async def prepare(self, delivery: Delivery) -> Prepared | Refusal | TemplateMissing:
        """Makes all of it that needs no peer, and changes nothing outside. May be called again for the same delivery.
        An exception is logged, and the delivery tried again."""

    async def send(self, prepared: Prepared, deadline: float) -> Receipt:
        """Returns once the peer has accepted the delivery. Raises Deferred, Refused or PeerUnavailable.

        Gives up at the deadline (of `Clock.monotonic`), and hands nothing over after it, however long this process was
        suspended in between. A delivery may be sent again after a crash: it should carry its id, so that the receiver
        recognises the repeat.
        """

    def breaker_key(self, delivery: Delivery) -> str:
        """The peer that accepts this delivery: while it is unavailable, no delivery with the same key is sent."""

    async def probe(self, key: str, deadline: float) -> None:
        """Returns if this peer would accept a delivery now, as far as can be told without one. Raises
        PeerUnavailable."""

    async def close(self) -> None:
        """Ends its connections. What is being sent is given up."""
