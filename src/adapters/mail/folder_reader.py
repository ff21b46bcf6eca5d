"""Reads the mails that FolderMailer has written, so that they can be viewed without a mail server."""

import asyncio
import os
import re
from collections.abc import Sequence
from email.message import EmailMessage
from email.parser import BytesHeaderParser, BytesParser
from email.policy import SMTPUTF8
from itertools import islice
from pathlib import Path
from typing import Final
from uuid import UUID

import structlog

from application.ports.mail_folder import RenderedMail, WholeMail, WrittenMail
from domain.caller_errors import Unavailable

log = structlog.get_logger(__name__)

_NAME: Final = re.compile(r"([0-9a-f]{32})\.eml\Z")

# To list a mail, this many bytes are read from the beginning of its file, which is enough for its headers: the longest
# header that Herald writes, a subject in encoded words, has 2 KB.
_HEAD: Final = 16_384


class EmlFolder:
    """Implements the port MailFolder: lists and reads the mails that FolderMailer has written. Opens only files
    named `<id>.eml`, where `<id>` has the form of a delivery id (32 hexadecimal digits)."""

    def __init__(self, folder: str) -> None:
        self._folder = Path(folder)

    async def newest(self, limit: int) -> Sequence[WrittenMail]:
        return await asyncio.to_thread(self._newest, limit)

    async def read(self, id: UUID) -> WholeMail | None:
        return await asyncio.to_thread(self._read, id)

    def _newest(self, limit: int) -> list[WrittenMail]:
        # The names are UUIDv7, which begin with the time, so they are sorted by time.
        listed = (self._headed(id) for id in sorted(self._ids(), reverse=True))
        return list(islice((mail for mail in listed if mail), limit))

    def _ids(self) -> list[str]:
        try:
            return [found[1] for name in os.listdir(self._folder) if (found := _NAME.match(name))]
        except FileNotFoundError:
            return []
        except OSError as error:
            log.warning("mail_folder_unreadable", folder=str(self._folder), error=str(error))
            raise Unavailable("The folder of the mails can't be read.") from error

    def _headed(self, id: str) -> WrittenMail | None:
        try:
            with self._file(id).open("rb") as file:
                headers = BytesHeaderParser(policy=SMTPUTF8).parsebytes(file.read(_HEAD))
            to, subject, date = (headers[name] for name in ("To", "Subject", "Date"))
            if to is None or subject is None or date is None or date.datetime is None:
                return None
            return WrittenMail(UUID(id), str(to), str(subject), date.datetime)
        except Exception as error:
            self._log_skipped(id, error)
            return None

    def _read(self, id: UUID) -> WholeMail | None:
        try:
            source = self._file(id.hex).read_bytes()
            message = BytesParser(policy=SMTPUTF8).parsebytes(source)
            return WholeMail(RenderedMail(_content(message, "html"), _content(message, "plain")), source)
        except Exception as error:
            self._log_skipped(id.hex, error)
            return None

    def _log_skipped(self, id: str, fault: Exception) -> None:
        """Logs, with the level debug, that the file `<id>.eml` is ignored because it could not be read as a mail.
        `fault` may be an exception of any type, because the email package raises many types for invalid files."""
        log.debug("mail_file_invalid", file=str(self._file(id)), error=repr(fault))

    def _file(self, id: str) -> Path:
        return self._folder / f"{id}.eml"


def _content(message: EmailMessage, subtype: str) -> str:
    part = message.get_body((subtype,))
    if part is None:
        raise ValueError(f"it has no text/{subtype}")
    text: str = part.get_content()
    return text
