"""The port for mails that are written to a folder, because no mail server is configured."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol
from uuid import UUID

import msgspec


class RenderedMail(msgspec.Struct, frozen=True):
    """The body of a mail, as HTML and as plain text with the same content."""

    html: str
    text: str


class WrittenMail(msgspec.Struct, frozen=True):
    """The headers of a mail in the folder. `id` is the id of the mail's delivery, `date` the time at which the delivery
    was created."""

    id: UUID
    to: str
    subject: str
    date: datetime


class WholeMail(msgspec.Struct, frozen=True):
    """A mail in the folder: its body (`rendered`), and its whole file in the format of RFC 5322 (`source`)."""

    rendered: RenderedMail
    source: bytes


class MailFolder(Protocol):
    """Reads the mails in the folder to which they are written if no mail server is configured.

    Ignores other files, damaged mails, and mails that are deleted while they are read. A folder that does not exist
    counts as empty. Every method raises Unavailable if the folder can't be read.
    """

    async def newest(self, limit: int) -> Sequence[WrittenMail]:
        """Returns at most `limit` mails, newest first by the creation time of their deliveries."""

    async def read(self, id: UUID) -> WholeMail | None:
        """Returns the mail of the delivery with this id; None if the folder has no such mail."""
