"""What the mail channel needs: a renderer that fills templates, and a mailer that hands mails over."""

from datetime import datetime
from typing import Protocol

import msgspec

from application.delivery.channel import Receipt
from application.ports.mail_folder import RenderedMail
from domain.deliveries import Item


class OutgoingMail(msgspec.Struct, frozen=True):
    """A mail ready to be sent. `id` is the part of its Message-ID before the @: the same for each attempt at one
    delivery, so that a receiver can recognise a repeat. `headers` are further ones, by name: values of one line."""

    id: str
    to: str
    subject: str
    date: datetime
    rendered: RenderedMail
    headers: tuple[tuple[str, str], ...] = ()


class Unrenderable(Exception):
    """A template that can't be filled from this event, however often it is tried. The text names the template and what
    is wrong."""


class TemplateUnavailable(Unrenderable):
    """A template that this node does not have, or that does not compile here. Another node may have a usable one:
    during a rolling upgrade, nodes have different templates."""


class MailRenderer(Protocol):
    """For filling mail templates from events."""

    async def render(self, item: Item) -> RenderedMail:
        """Raises TemplateUnavailable for a template that is missing or does not compile, be it this one or one that it
        includes; and Unrenderable for one that does something forbidden or takes more than some seconds, and for an
        event that lacks a field that the template needs."""

    async def close(self) -> None: ...


class Mailer(Protocol):
    """For handing mails to the server, or the folder, that delivers them."""

    @property
    def name(self) -> str:
        """As health and logs name it: a server's `host:port`, or a folder."""

    async def send(self, mail: OutgoingMail, deadline: float) -> Receipt:
        """Returns once the mail is accepted, which makes it the server's. Raises Deferred, Refused or PeerUnavailable.

        Gives up at the deadline (of `time.monotonic`), and hands nothing over once it has passed, however long this
        process was frozen in between. Several may be sent concurrently.
        """

    async def ping(self, deadline: float) -> None:
        """Returns if a mail would be accepted now, as far as can be told without one. Raises PeerUnavailable."""

    async def close(self) -> None:
        """Ends its connections. What is being sent is given up."""
