"""Opening a connection to the mail server, until it takes mails."""

import asyncio
import base64
import re
import socket
import ssl
from typing import Final, cast

from aiosmtplib import SMTP, SMTPAuthenticationError, SMTPException, SMTPHeloError

from adapters.mail.faults import away
from adapters.mail.settings import SmtpSettings
from application.delivery.channel import PeerUnavailable

_FULL_NAME: Final = re.compile(r"[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+\Z")


class Opening:
    """Connects, says EHLO, turns TLS on and logs in, as the settings have it. There is no limit in time: see
    SmtpMailer."""

    def __init__(self, settings: SmtpSettings) -> None:
        """Raises OSError when the CA file cannot be read."""
        self._settings = settings
        # Made once: reading the system's certificates takes tens of milliseconds.
        self._tls = None if settings.security == "none" else ssl.create_default_context(cafile=settings.cafile)
        self._secrets = _secrets(settings)
        self._own_name: str | None = None

    async def open(self) -> SMTP:
        """Raises PeerUnavailable."""
        client = SMTP(
            hostname=self._settings.host,
            port=self._settings.its_port,
            # Said by us, when it is known: see _introduce.
            local_hostname="localhost",
            # Its own limits would leave connections behind that nobody can cut.
            timeout=None,
            use_tls=self._settings.security == "tls",
            # Not where the server happens to offer it, but where it must.
            start_tls=False,
            tls_context=self._tls,
        )
        try:
            await self._prepare(client)
        except (SMTPException, OSError, ValueError) as fault:
            cut(client)
            raise away(fault, self._secrets) from fault
        except BaseException:
            cut(client)
            raise
        return client

    async def _prepare(self, client: SMTP) -> None:
        await client.connect()
        await self._introduce(client)
        if self._settings.security == "starttls":
            if not client.supports_extension("starttls"):
                raise PeerUnavailable("it offers no STARTTLS", refused_us=True)
            await client.starttls()
            # What it offered before may have been anybody's words: RFC 3207, section 4.2.
            await self._introduce(client)
        if self._settings.user is not None:
            await self._log_in(client, self._settings.user, self._settings.password or "")

    async def _introduce(self, client: SMTP) -> None:
        if self._own_name is None:
            self._own_name = await asyncio.to_thread(socket.getfqdn)
        name = self._own_name if _FULL_NAME.match(self._own_name) else _literal(client)
        try:
            await client.ehlo(hostname=name)
        except SMTPHeloError as refusal:
            # Servers older than EHLO answer it 5xx; one that wants no mail says so twice, or hangs up.
            try:
                await client.helo(hostname=name)
            except SMTPException:
                raise refusal from None

    async def _log_in(self, client: SMTP, user: str, password: str) -> None:
        """By the first method that works: some servers offer one that does not."""
        ways = {"cram-md5": client.auth_crammd5, "plain": client.auth_plain, "login": client.auth_login}
        refusal: SMTPException | None = None
        for method in client.supported_auth_methods:
            try:
                await ways[method](user, password)
            except SMTPAuthenticationError as fault:
                refusal = fault
            except SMTPException as fault:
                # Servers hang up on those who try again; the reason is what they said before.
                raise refusal or fault from None
            else:
                return
        raise refusal or PeerUnavailable("it offers no login that we know", refused_us=True)


def cut(client: SMTP) -> None:
    """Ends a connection at once: what was still to be sent is not, and nobody is waited for."""
    if client.transport is not None:
        cast(asyncio.WriteTransport, client.transport).abort()
    client.close()


def _literal(client: SMTP) -> str:
    """Who has no full name says where it is: RFC 5321, section 4.1.4."""
    host = client.get_transport_info("sockname")[0].partition("%")[0]
    return f"[IPv6:{host}]" if ":" in host else f"[{host}]"


def _secrets(settings: SmtpSettings) -> tuple[str, ...]:
    """The password in each form in which it goes over the wire, and a server's complaint might repeat it."""
    if not settings.user or not settings.password:
        return ()
    spoken = settings.password, f"\0{settings.user}\0{settings.password}"
    return (settings.password, *(base64.b64encode(form.encode()).decode() for form in spoken))
