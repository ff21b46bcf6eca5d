"""The interfaces that MailChannel uses: MailRenderer renders mails from templates, Mailer sends them."""

from datetime import datetime
from typing import Protocol

import msgspec

from application.delivery.channel import Receipt
from application.ports.mail_folder import RenderedMail
from domain.deliveries import Item


class OutgoingMail(msgspec.Struct, frozen=True):
    """A rendered mail that MailChannel passes to the Mailer.

    `id` is the part of the Message-ID before the @. All attempts at a delivery have the same id, so that receivers can
    detect duplicates. `date` is the value of the header Date. `headers` are additional headers: pairs of a name and a
    value, which must not contain a line break.
    """

    id: str
    to: str
    subject: str
    date: datetime
    rendered: RenderedMail
    headers: tuple[tuple[str, str], ...] = ()


class Unrenderable(Exception):
    """Raised by MailRenderer if a template can't be rendered with an event. A retry would fail again. The text names
    the template and describes the error."""


class TemplateUnavailable(Unrenderable):
    """Raised by MailRenderer if this node has no template of the requested name, or if the template does not
    compile. Other nodes may have a usable template of this name, because nodes have different templates during a
    rolling upgrade."""


class MailRenderer(Protocol):
    """Renders the mail of a delivery from a template and the event. Implemented by ProcessRenderer."""

    async def render(self, item: Item) -> RenderedMail:
        """Returns the mail of an item: an event in a delivery, with the name of the template that its route uses for
        it.

        Raises TemplateUnavailable if the template, or a template that it includes, does not exist on this node or does
        not compile. Raises Unrenderable if the event lacks a field that the template uses, or if the template exceeds a
        limit of time, memory or size, or does something that is forbidden in templates.
        """

    async def close(self) -> None: ...


class Mailer(Protocol):
    """Sends mails. Implemented by SmtpMailer, which uses a mail server, and FolderMailer, which writes to a folder."""

    @property
    def name(self) -> str:
        """The name of the mailer in health reports and logs: the `host:port` of the mail server, or the path of the
        folder."""

    async def send(self, mail: OutgoingMail, deadline: float) -> Receipt:
        """Sends a mail. Returns when the mail server has accepted the mail, or when its file is complete. Raises
        Deferred if a later attempt may succeed, Refused if the mail will never be accepted, and PeerUnavailable if the
        server or the folder accepts no mails now.

        `deadline` is a value of `time.monotonic()`. The call ends then, and the content of the mail is never sent
        later, even if this process was suspended meanwhile. Several calls may run concurrently.
        """

    async def ping(self, deadline: float) -> None:
        """Checks, without sending a mail, whether the mail server or the folder would accept one now. Raises
        PeerUnavailable if not. `deadline` is a value of `time.monotonic()`."""

    async def close(self) -> None:
        """Closes all connections and aborts the attempts in progress. Later calls of `send` raise Deferred."""
