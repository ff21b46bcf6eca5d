"""The mailer that writes mails to a folder. It is used if no mail server is configured."""

import asyncio
import contextlib
import secrets
import time
from pathlib import Path
from typing import Final

from adapters.mail.mailer import OutgoingMail
from adapters.mail.mime import Composed, compose, sender_of
from application.delivery.channel import Deferred, PeerUnavailable, Receipt

# The number of bytes that a health probe writes, about the size of a mail. A disk with less free space counts as full.
PROBE_BYTES: Final = 16_384


class FolderMailer:
    """Implements Mailer. Writes each mail to a file `<id>.eml`, which mail programs can open.

    The ids are UUIDv7, so sorted by name, the files are in the order of their deliveries. If a mail is sent again, its
    file is replaced. A file appears in the folder only when it is complete.
    """

    def __init__(self, folder: str, sender: str) -> None:
        """Raises ValueError for an invalid sender. The folder is created when the first mail is written."""
        self.name: Final = folder
        self._folder = Path(folder)
        self._sender = sender_of(sender)
        self._closed = False

    async def send(self, mail: OutgoingMail, deadline: float) -> Receipt:
        composed = compose(mail, self._sender)
        self._check(deadline)
        try:
            async with asyncio.timeout(deadline - time.monotonic()):
                return await asyncio.to_thread(self._write, composed, deadline)
        except TimeoutError:
            raise Deferred(f"out of time while writing to {self.name}") from None

    async def ping(self, deadline: float) -> None:
        try:
            await asyncio.to_thread(self._try)
        except OSError as error:
            raise PeerUnavailable(f"{self.name}: {error.strerror or error}") from error

    async def close(self) -> None:
        self._closed = True

    def _check(self, deadline: float) -> None:
        if self._closed:
            raise Deferred("not written: this node is shutting down")
        if time.monotonic() >= deadline:
            raise Deferred(f"out of time while writing to {self.name}")

    def _try(self) -> None:
        """Checks that a mail could be written to the folder. Raises OSError otherwise."""
        self._folder.mkdir(parents=True, exist_ok=True)
        part = self._folder / f".{secrets.token_hex(8)}.part"
        try:
            part.write_bytes(b"\0" * PROBE_BYTES)
        finally:
            part.unlink(missing_ok=True)

    def _write(self, mail: Composed, deadline: float) -> Receipt:
        part = self._folder / f".{mail.id}.{secrets.token_hex(4)}.part"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            try:
                part.write_bytes(mail.content)
                # Checked again before the file appears: this thread continues even if its caller has timed out.
                self._check(deadline)
                part.replace(self._folder / f"{mail.id}.eml")
            finally:
                with contextlib.suppress(OSError):
                    part.unlink(missing_ok=True)
        except OSError as error:
            raise PeerUnavailable(f"{self.name}: {error.strerror or error}") from error
        return Receipt(None, f"written to {self._folder / mail.id}.eml")
