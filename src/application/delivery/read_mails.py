"""Reading the mails that Herald writes to a folder if no mail server is configured."""

from collections.abc import Sequence
from uuid import UUID

from application.ports.mail_folder import MailFolder, WholeMail, WrittenMail
from domain.caller_errors import NotFound


class ReadMails:
    """Lists and reads the mails that Herald writes to a folder if no mail server is configured, to try out Herald.

    Raises NotFound if a mail server is configured, and Unavailable if the folder can't be read. `one` also raises
    NotFound for a mail that does not exist.
    """

    def __init__(self, folder: MailFolder | None) -> None:
        """`folder` is None if a mail server is configured."""
        self._folder = folder

    async def newest(self, limit: int) -> Sequence[WrittenMail]:
        return await self._written.newest(limit)

    async def one(self, id: UUID) -> WholeMail:
        mail = await self._written.read(id)
        if mail is None:
            raise NotFound("There is no such mail.")
        return mail

    @property
    def _written(self) -> MailFolder:
        if self._folder is None:
            raise NotFound(
                "Mails are sent through SMTP_HOST. They are written to a folder, and listed here,"
                " only if it is not set."
            )
        return self._folder
