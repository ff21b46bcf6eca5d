"""The port for mails that were written to a folder instead of being sent."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol
from uuid import UUID

import msgspec


class RenderedMail(msgspec.Struct, frozen=True):
    """The content of a mail: in HTML, and the same as plain text."""

    html: str
    text: str


class WrittenMail(msgspec.Struct, frozen=True):
    """A mail in the folder. `id` is the id of its delivery, `date` the time at which the delivery was created."""

    id: UUID
    to: str
    subject: str
    date: datetime


class WholeMail(msgspec.Struct, frozen=True):
    """The content of a mail, and the file in which it was written (RFC 5322)."""

    rendered: RenderedMail
    source: bytes


class MailFolder(Protocol):
    """Reads mails that were written to a folder instead of being sent.

    Other files, damaged mails, and mails that are deleted while they are read are ignored. A folder that does not exist
    yet counts as empty. Every method raises Unavailable if the folder can't be read.
    """

    async def newest(self, limit: int) -> Sequence[WrittenMail]:
        """Returns at most `limit` mails, those with the newest deliveries first."""

    async def read(self, id: UUID) -> WholeMail | None: ...
