"""The port for mails that stayed here: what a mailer has written to a folder."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol
from uuid import UUID

import msgspec

from application.ports.mailer import Letter


class WrittenMail(msgspec.Struct, frozen=True):
    """A mail in the folder. `id` is its delivery's, `date` when that was made."""

    id: UUID
    to: str
    subject: str
    date: datetime


class WholeMail(msgspec.Struct, frozen=True):
    """What a mail says, and the same as it was written, in bytes (RFC 5322)."""

    letter: Letter
    source: bytes


class MailFolder(Protocol):
    """For reading mails that were written to a folder instead of being sent.

    What else lies in the folder, or has been damaged, is not there; nor is a mail that goes while it is being read. A
    folder that is not there yet is empty. Every method raises Unavailable for one that can't be read.
    """

    async def newest(self, limit: int) -> Sequence[WrittenMail]:
        """Newest first, by the order of their deliveries."""

    async def read(self, id: UUID) -> WholeMail | None: ...
