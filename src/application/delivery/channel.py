"""The port for outbound channels, such as e-mail, which reach users who are not connected."""

from typing import Literal, Protocol, TypeVar

import msgspec

from domain.deliveries import Delivery

# A delivery in the form in which the channel sends it.
Prepared = TypeVar("Prepared")


class Receipt(msgspec.Struct, frozen=True):
    """The peer's reply when it accepted a delivery."""

    code: int | None
    text: str


class Refusal(msgspec.Struct, frozen=True):
    """A delivery can't be prepared. `text` is the reason; `status` is the new status of the delivery, `pending` if it
    may succeed later."""

    text: str
    status: Literal["failed", "skipped", "pending"] = "failed"


class TemplateMissing(msgspec.Struct, frozen=True):
    """Why this node can't prepare a delivery: it has no usable template of the name that the delivery's item gives.
    Another node may have one."""

    text: str


class NotSent(Exception):
    """A delivery was not sent, as far as is known. The text is the peer's last reply, or describes what happened."""

    def __init__(self, text: str, code: int | None = None) -> None:
        super().__init__(text)
        self.code = code


class Deferred(NotSent):
    """The peer may accept the delivery later, or did not answer in time."""


class Refused(NotSent):
    """The peer will never accept the delivery."""


class PeerUnavailable(NotSent):
    """The peer can't be reached, or accepts no delivery from this sender now. `refused_us` means that it answered and
    refused this sender; the attempt does not count against the delivery."""

    def __init__(self, text: str, code: int | None = None, *, refused_us: bool = False) -> None:
        super().__init__(text, code)
        self.refused_us = refused_us


class Channel(Protocol[Prepared]):
    """One kind of outbound transport, such as e-mail. A dispatcher claims the deliveries and records their outcomes.

    Several deliveries are prepared and sent concurrently.
    """

    @property
    def name(self) -> str:
        """The name in deliveries and routes."""

    @property
    def peer(self) -> str | None:
        """The only peer of this channel, as shown in health and logs (such as `host:port` of a mail server); None if
        each destination is a peer of its own."""

    async def prepare(self, delivery: Delivery) -> Prepared | Refusal | TemplateMissing:
        """Does all work that needs no peer, such as rendering, without side effects. May be called again for the same
        delivery. If it raises, the exception is logged and the delivery is retried."""

    async def send(self, prepared: Prepared, deadline: float) -> Receipt:
        """Sends the delivery. Returns once the peer has accepted it. Raises Deferred, Refused or PeerUnavailable.

        Gives up at the deadline (of `Clock.monotonic`), and sends nothing after it, however long this process was
        suspended in between. A delivery may be sent again after a crash: it should carry its id, so that the receiver
        recognises the duplicate.
        """

    def breaker_key(self, delivery: Delivery) -> str:
        """Returns the peer of this delivery. While that peer is unavailable, no delivery with the same key is sent."""

    async def probe(self, key: str, deadline: float) -> None:
        """Checks, without a delivery, whether this peer would accept one now. Raises PeerUnavailable if it
        would not."""

    async def close(self) -> None:
        """Closes the connections, and aborts attempts in progress."""
