"""The interfaces that the mail channel uses: MailRenderer renders templates, Mailer sends mails."""

from datetime import datetime
from typing import Protocol

import msgspec

from application.delivery.channel import Receipt
from application.ports.mail_folder import RenderedMail
from domain.deliveries import Item


class OutgoingMail(msgspec.Struct, frozen=True):
    """A mail that is ready to be sent.

    `id` is the part of the Message-ID before the @. It is the same for all attempts at one delivery, so that a receiver
    can detect duplicates. `headers` are additional headers, as pairs of a name and a value of one line.
    """

    id: str
    to: str
    subject: str
    date: datetime
    rendered: RenderedMail
    headers: tuple[tuple[str, str], ...] = ()


class Unrenderable(Exception):
    """The template can't be rendered with this event, so a retry would fail again. The text of the exception names the
    template and the error.
    """


class TemplateUnavailable(Unrenderable):
    """The template is missing on this node, or does not compile. Another node may have a usable template of this name:
    during a rolling upgrade, nodes have different templates.
    """


class MailRenderer(Protocol):
    """Renders mail templates with events."""

    async def render(self, item: Item) -> RenderedMail:
        """Returns the item's template, rendered with the item's event.

        Raises TemplateUnavailable if the template, or a template that it includes, is missing or does not compile.
        Raises Unrenderable if the event lacks a field that the template needs, or if the template does something
        forbidden or exceeds its time limit.
        """

    async def close(self) -> None: ...


class Mailer(Protocol):
    """Sends mails to a server, or writes them to a folder."""

    @property
    def name(self) -> str:
        """What identifies the mailer in health reports and logs: the `host:port` of the server, or the folder."""

    async def send(self, mail: OutgoingMail, deadline: float) -> Receipt:
        """Sends a mail, and returns when the server has accepted it. From then on, the server is responsible for it.
        Raises Deferred, Refused or PeerUnavailable.

        Stops at the deadline, a time of `time.monotonic`. The content of the mail is never sent after the deadline,
        even if this process was frozen in between. Several calls may run concurrently.
        """

    async def ping(self, deadline: float) -> None:
        """Does nothing if a mail would be accepted now, as far as this can be determined without sending one. Raises
        PeerUnavailable otherwise.
        """

    async def close(self) -> None:
        """Closes all connections. Attempts that are running are aborted."""
