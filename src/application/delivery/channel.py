"""The port for outbound channels, such as e-mail, which reach users who have no open session."""

from typing import Literal, Protocol, TypeVar

import msgspec

from domain.deliveries import Delivery

# A delivery in the form in which the channel sends it.
Prepared = TypeVar("Prepared")


class Receipt(msgspec.Struct, frozen=True):
    """The peer's reply to a delivery that it has accepted: the code of the reply (for example 250 from a mail server;
    None if the peer sends no codes), and the text."""

    code: int | None
    text: str


class Refusal(msgspec.Struct, frozen=True):
    """Returned by `Channel.prepare` for a delivery that can't be prepared. `text` is the reason. `status` is the new
    status of the delivery: `failed` and `skipped` are final; `pending` means that it is prepared again later."""

    text: str
    status: Literal["failed", "skipped", "pending"] = "failed"


class TemplateMissing(msgspec.Struct, frozen=True):
    """Returned by `Channel.prepare` if this node has no usable template with the name in `Item.template` of the
    delivery. The delivery is left to other nodes, which may have the template. `text` is the reason."""

    text: str


class NotSent(Exception):
    """Base class of the errors of `Channel.send`: the peer did not confirm that it accepted the delivery. The message
    is the peer's last reply, and `code` the code of that reply; without a reply, the message describes what happened,
    and `code` is None."""

    def __init__(self, text: str, code: int | None = None) -> None:
        super().__init__(text)
        self.code = code


class Deferred(NotSent):
    """The peer rejected the delivery temporarily, or did not answer in time. The delivery is retried."""


class Refused(NotSent):
    """The peer rejected the delivery permanently. The delivery is not retried."""


class PeerUnavailable(NotSent):
    """The peer can't be reached, or accepts no delivery at all from this sender now. `refused_us` is True if the peer
    answered and refused this sender, for example its login. An attempt with `refused_us` does not count towards the
    maximum number of attempts; any other attempt counts."""

    def __init__(self, text: str, code: int | None = None, *, refused_us: bool = False) -> None:
        super().__init__(text, code)
        self.refused_us = refused_us


class Channel(Protocol[Prepared]):
    """One kind of outbound transport, such as e-mail. Implemented by an adapter, called by Dispatcher and DeliverClaim,
    which claim the deliveries and record the outcomes. Several deliveries are prepared and sent concurrently."""

    @property
    def name(self) -> str:
        """The name of the channel in deliveries and in routes, such as `email`."""

    @property
    def peer(self) -> str | None:
        """The only peer of this channel, as `/health` and the log show it, such as `mail.example.com:25`; None if each
        destination is a peer of its own."""

    async def prepare(self, delivery: Delivery) -> Prepared | Refusal | TemplateMissing:
        """Returns the delivery in the form that `send` takes, such as a rendered mail. Returns a Refusal or
        TemplateMissing if the delivery can't be prepared. Does not contact the peer and has no side effects, because it
        may be called again for the same delivery. If it raises, the exception is logged and the delivery is retried."""

    async def send(self, prepared: Prepared, deadline: float) -> Receipt:
        """Sends a prepared delivery. Returns the peer's reply once the peer has accepted the delivery. Raises Deferred,
        Refused or PeerUnavailable.

        `deadline` is a time of `Clock.monotonic`, in seconds. Nothing may be sent after it, even if the process was
        suspended meanwhile: another node may have claimed the delivery by then. After a crash a delivery may be sent
        twice, so what is sent should contain the delivery's id, by which the receiver recognises the duplicate.
        """

    def breaker_key(self, delivery: Delivery) -> str:
        """Returns the key of the circuit breaker for this delivery: the channel's `peer`, or, if that is None, the
        destination. While an open breaker stops one delivery, it stops all deliveries with the same key."""

    async def probe(self, key: str, deadline: float) -> None:
        """Checks without sending a delivery whether the peer with this breaker key would accept one now. Raises
        PeerUnavailable if not. `deadline` is a time of `Clock.monotonic`, in seconds."""

    async def close(self) -> None:
        """Closes the connections to peers, and aborts attempts in progress."""
