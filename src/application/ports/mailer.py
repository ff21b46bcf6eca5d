"""The ports for mail: filling its templates, and sending it."""

from datetime import datetime
from typing import Protocol

import msgspec

from domain.deliveries import Delivery


class Letter(msgspec.Struct, frozen=True):
    """A mail as it is to be read: in HTML, and the same in plain text."""

    html: str
    text: str


class OutgoingMail(msgspec.Struct, frozen=True):
    """A mail ready to go. `id` is the part of its Message-ID before the @: the same for each attempt at one delivery,
    so that a receiver can tell a repeat."""

    id: str
    to: str
    subject: str
    date: datetime
    letter: Letter


class Receipt(msgspec.Struct, frozen=True):
    """The server's words on taking a mail."""

    code: int | None
    text: str


class Unrenderable(Exception):
    """A template that can't be filled from this event, however often it is tried. The text names the template and what
    is wrong."""


class TemplateUnavailable(Unrenderable):
    """A template that this node does not have, or that does not compile here. Another node may have a usable one:
    during a rolling upgrade, nodes have different templates."""


class NotSent(Exception):
    """A mail that was not sent, as far as is known. The text is the server's last words, or says what happened."""

    def __init__(self, text: str, code: int | None = None) -> None:
        super().__init__(text)
        self.code = code


class MailDeferred(NotSent):
    """It may be taken later: 4xx, a connection lost, no answer in time."""


class MailRefused(NotSent):
    """It never will be: 5xx to MAIL, RCPT or DATA, or an address that this server can't be told."""


class ServerAway(NotSent):
    """The server is not there (refused, no such name, no answer), or takes no mail from us now: what it said to the
    connection, EHLO, STARTTLS or the login. No other mail would fare better. `refused_us` where it answered, and
    answered 5xx: that is no fault of the mail's at all."""

    def __init__(self, text: str, code: int | None = None, *, refused_us: bool = False) -> None:
        super().__init__(text, code)
        self.refused_us = refused_us


class MailRenderer(Protocol):
    """For filling mail templates from events."""

    async def render(self, delivery: Delivery) -> Letter:
        """Raises TemplateUnavailable for a template that is missing or does not compile, be it this one or one that it
        includes; and Unrenderable for one that does something forbidden or takes more than some seconds, and for an
        event that lacks a field that it needs."""

    async def close(self) -> None: ...


class Mailer(Protocol):
    """For handing mails to whoever delivers them."""

    @property
    def name(self) -> str:
        """As health and logs name it: a server's `host:port`, or a folder."""

    async def send(self, mail: OutgoingMail, deadline: float) -> Receipt:
        """Returns once the mail is taken, which makes it the server's. Raises MailDeferred, MailRefused or ServerAway.

        Gives up at the deadline (of `time.monotonic`), and hands nothing over once it has passed, however long this
        process was frozen in between. Several may be sent at once.
        """

    async def ping(self, deadline: float) -> None:
        """Returns if a mail would be taken now, as far as can be told without one. Raises ServerAway."""

    async def close(self) -> None:
        """Takes leave of the server. What is being sent is given up."""
