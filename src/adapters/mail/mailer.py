"""The interfaces that the mail channel needs: a renderer of templates, and a mailer that sends mails."""

from datetime import datetime
from typing import Protocol

import msgspec

from application.delivery.channel import Receipt
from application.ports.mail_folder import RenderedMail
from domain.deliveries import Item


class OutgoingMail(msgspec.Struct, frozen=True):
    """A mail ready to be sent. `id` is the part of its Message-ID before the @: the same for each attempt at one
    delivery, so that a receiver can detect duplicates. `headers` are additional headers by name, with values of one
    line.
    """

    id: str
    to: str
    subject: str
    date: datetime
    rendered: RenderedMail
    headers: tuple[tuple[str, str], ...] = ()


class Unrenderable(Exception):
    """The template can't be rendered with this event; a retry would fail again. The text names the template and the
    error.
    """


class TemplateUnavailable(Unrenderable):
    """This node does not have the template, or it does not compile here. Another node may have a usable one: during a
    rolling upgrade, nodes have different templates.
    """


class MailRenderer(Protocol):
    """Renders mail templates with events."""

    async def render(self, item: Item) -> RenderedMail:
        """Render the template of an item.

        Raises TemplateUnavailable if the template, or one that it includes, is missing or does not compile. Raises
        Unrenderable for a template that does something forbidden or exceeds its time limit of some seconds, and for an
        event that lacks a field that the template needs.
        """

    async def close(self) -> None: ...


class Mailer(Protocol):
    """Sends mails to a server, or writes them to a folder."""

    @property
    def name(self) -> str:
        """The name in health reports and logs: a server's `host:port`, or a folder."""

    async def send(self, mail: OutgoingMail, deadline: float) -> Receipt:
        """Return when the mail is accepted; from then on the server is responsible for it. Raises Deferred, Refused or
        PeerUnavailable.

        Gives up at the deadline (of `time.monotonic`), and transmits no content after it, even if this process was
        frozen in between. Several calls may run concurrently.
        """

    async def ping(self, deadline: float) -> None:
        """Return if a mail would be accepted now, as far as can be determined without sending one. Raises
        PeerUnavailable.
        """

    async def close(self) -> None:
        """Close the connections. Mails that are being sent are aborted."""
