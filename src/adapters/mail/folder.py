"""The mailer for where there is no mail server: it writes mails to a folder."""

import asyncio
import contextlib
import secrets
import time
from pathlib import Path
from typing import Final

from adapters.mail.mailer import OutgoingMail
from adapters.mail.mime import Composed, compose, sender_of
from application.delivery.channel import Deferred, PeerUnavailable, Receipt

# Bytes: what a mail takes, so that a disk with room for less counts as full.
PROBE: Final = 16_384


class FolderMailer:
    """Implements Mailer: each mail is a file of its own, `<its id>.eml`, which mail programs open.

    Ids are UUIDs of version 7, so the files' names have the order of their deliveries; a mail that is sent again takes
    the place of the one before. What is there is whole.
    """

    def __init__(self, folder: str, sender: str) -> None:
        """Raises ValueError when nobody can be that sender. The folder is made when it is needed."""
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
        except OSError as fault:
            raise PeerUnavailable(f"{self.name}: {fault.strerror or fault}") from fault

    async def close(self) -> None:
        self._closed = True

    def _check(self, deadline: float) -> None:
        if self._closed:
            raise Deferred("not written: we are leaving")
        if time.monotonic() >= deadline:
            raise Deferred(f"out of time while writing to {self.name}")

    def _try(self) -> None:
        """Raises OSError where nothing can be written."""
        self._folder.mkdir(parents=True, exist_ok=True)
        part = self._folder / f".{secrets.token_hex(8)}.part"
        try:
            part.write_bytes(b"\0" * PROBE)
        finally:
            part.unlink(missing_ok=True)

    def _write(self, mail: Composed, deadline: float) -> Receipt:
        part = self._folder / f".{mail.id}.{secrets.token_hex(4)}.part"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            try:
                part.write_bytes(mail.content)
                # The thread goes on when nobody waits for it any more.
                self._check(deadline)
                part.replace(self._folder / f"{mail.id}.eml")
            finally:
                with contextlib.suppress(OSError):
                    part.unlink(missing_ok=True)
        except OSError as fault:
            raise PeerUnavailable(f"{self.name}: {fault.strerror or fault}") from fault
        return Receipt(None, f"written to {self._folder / mail.id}.eml")
