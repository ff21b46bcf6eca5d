"""Opens connections to the mail server: connects, starts TLS and logs in."""

import asyncio
import base64
import re
import socket
import ssl
from typing import Final, cast

from aiosmtplib import SMTP, SMTPAuthenticationError, SMTPException, SMTPHeloError

from adapters.mail.settings import SmtpSettings
from adapters.mail.smtp_errors import connection_failure
from application.delivery.channel import PeerUnavailable

_FULL_NAME: Final = re.compile(r"[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+\Z")


class ConnectionOpener:
    """Opens connections to the mail server: connects, sends EHLO, starts TLS and logs in, as the settings require.
    Sets no timeouts: SmtpMailer limits the time of an attempt."""

    def __init__(self, settings: SmtpSettings) -> None:
        """Raises OSError if the file of HERALD_SMTP_CAFILE (the trusted certificate authorities) can't be read."""
        self._settings = settings
        # Created only once, because reading the certificates of the system takes tens of milliseconds.
        self._tls = None if settings.security == "none" else ssl.create_default_context(cafile=settings.cafile)
        self._secrets = _password_forms(settings)
        self._own_name: str | None = None

    async def open(self) -> SMTP:
        """Returns a connection by which a mail can be sent. Raises PeerUnavailable if the server can't be reached,
        or if it refuses the connection, TLS or the login."""
        client = SMTP(
            hostname=self._settings.host,
            port=self._settings.its_port,
            # A placeholder: `_introduce` sends EHLO with the actual name of this host.
            local_hostname="localhost",
            # With timeouts of aiosmtplib, connections would stay open that can't be aborted.
            timeout=None,
            use_tls=self._settings.security == "tls",
            # `_prepare` starts TLS, and fails if the server does not offer it. aiosmtplib would continue without TLS.
            start_tls=False,
            tls_context=self._tls,
        )
        try:
            await self._prepare(client)
        except (SMTPException, OSError, ValueError) as error:
            abort(client)
            raise connection_failure(error, self._secrets) from error
        except BaseException:
            abort(client)
            raise
        return client

    async def _prepare(self, client: SMTP) -> None:
        await client.connect()
        await self._introduce(client)
        if self._settings.security == "starttls":
            if not client.supports_extension("starttls"):
                raise PeerUnavailable("the mail server does not offer STARTTLS", refused_us=True)
            await client.starttls()
            # EHLO is sent again, because what the server offered before TLS can't be trusted (RFC 3207, section 4.2).
            await self._introduce(client)
        if self._settings.user is not None:
            await self._log_in(client, self._settings.user, self._settings.password or "")

    async def _introduce(self, client: SMTP) -> None:
        if self._own_name is None:
            self._own_name = await asyncio.to_thread(socket.getfqdn)
        name = self._own_name if _FULL_NAME.match(self._own_name) else _address_literal(client)
        try:
            await client.ehlo(hostname=name)
        except SMTPHeloError as refusal:
            # Servers that do not support EHLO respond to it with 5xx, and accept HELO. A server that accepts no mail at
            # all refuses HELO too, or closes the connection.
            try:
                await client.helo(hostname=name)
            except SMTPException:
                raise refusal from None

    async def _log_in(self, client: SMTP, user: str, password: str) -> None:
        """Logs in with the first login method that works, because some servers offer methods and then refuse them.
        Raises SMTPException if the server accepts none, and PeerUnavailable if it offers none that is supported."""
        ways = {"cram-md5": client.auth_crammd5, "plain": client.auth_plain, "login": client.auth_login}
        refusal: SMTPException | None = None
        for method in client.supported_auth_methods:
            try:
                await ways[method](user, password)
            except SMTPAuthenticationError as error:
                refusal = error
            except SMTPException as error:
                # Some servers close the connection on a further attempt. The error of the earlier attempt has the
                # reason.
                raise refusal or error from None
            else:
                return
        raise refusal or PeerUnavailable("the mail server offers no supported login method", refused_us=True)


def abort(client: SMTP) -> None:
    """Closes a connection immediately, without QUIT: discards unsent data, and waits for no reply."""
    if client.transport is not None:
        cast(asyncio.WriteTransport, client.transport).abort()
    client.close()


def _address_literal(client: SMTP) -> str:
    """Returns the local IP address of the connection as the argument of EHLO, such as `[192.0.2.1]` or
    `[IPv6:2001:db8::1]`. Used if this host has no fully qualified name (RFC 5321, section 4.1.4)."""
    host = client.get_transport_info("sockname")[0].partition("%")[0]
    return f"[IPv6:{host}]" if ":" in host else f"[{host}]"


def _password_forms(settings: SmtpSettings) -> tuple[str, ...]:
    """Returns the password and the base64 texts that contain it in a login. They are masked in error texts, because
    a server may repeat them in its reply."""
    if not settings.user or not settings.password:
        return ()
    spoken = settings.password, f"\0{settings.user}\0{settings.password}"
    return (settings.password, *(base64.b64encode(form.encode()).decode() for form in spoken))
