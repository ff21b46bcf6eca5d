"""Writes mails to a folder. Used instead of a mail server if SMTP_HOST is not set."""

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
    """Implements Mailer for a Herald without a mail server: writes each mail to a file `<id>.eml` in a folder, where
    `<id>` is the id of the delivery. Mail programs can open these files.

    Delivery ids are UUIDv7, so the files, sorted by name, are in the order in which their deliveries were created. A
    mail that is sent again replaces its earlier file. A file appears in the folder only when it is complete.
    """

    def __init__(self, folder: str, sender: str) -> None:
        """`folder` is created when a mail is written, if it does not exist. `sender` is an address or `Name
        <address>`. Raises ValueError if the sender is invalid."""
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
            await asyncio.to_thread(self._probe)
        except OSError as error:
            raise PeerUnavailable(f"{self.name}: {error.strerror or error}") from error

    async def close(self) -> None:
        self._closed = True

    def _check(self, deadline: float) -> None:
        if self._closed:
            raise Deferred("not written: this node is shutting down")
        if time.monotonic() >= deadline:
            raise Deferred(f"out of time while writing to {self.name}")

    def _probe(self) -> None:
        """Checks that a mail could be written to the folder: writes a file of PROBE_BYTES, and deletes it. Raises
        OSError if this fails."""
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
