"""Provides the channel `email`, which sends mails to a mail server, or writes them to a folder if no server is
configured.

The functions import the modules that send mails only when they are called: importing Jinja takes a while, and most
commands send no mails.
"""

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

from dishka import Provider, Scope, provide

from adapters.mail.settings import MailSettings, SmtpSettings
from adapters.mail.shipped_templates import is_shipped
from application.delivery.dispatch_policy import MAX_RETRY_S, DispatchPolicy
from application.delivery.read_mails import ReadMails
from domain.backoff import Backoff
from domain.channel_tables import ChannelTable
from domain.deliveries import Item
from domain.public_url import PublicUrl
from entrypoints.profiles.shipped_files import PROFILE_TEMPLATES
from entrypoints.settings.loader import Settings

if TYPE_CHECKING:
    from adapters.mail.channel import MailChannel
    from adapters.mail.mailer import Mailer
    from adapters.mail.render_client import ProcessRenderer


def email_channel(settings: Settings) -> "tuple[MailChannel, DispatchPolicy]":
    """Returns the channel `email` and its dispatch policy. The channel sends mails to SMTP_HOST; if that is not set, it
    writes them to a folder."""
    from adapters.mail.channel import MailChannel

    smtp, mail = settings.smtp, settings.mail
    policy = DispatchPolicy(
        at_once=smtp.connections,
        attempt_seconds=mail.attempt_seconds,
        tries=mail.tries,
        retry=Backoff(mail.retry_seconds, MAX_RETRY_S),
    )
    renderer = mail_renderer(settings)
    return MailChannel(renderer, _mailer(smtp, mail)), policy


def mail_renderer(settings: Settings) -> "ProcessRenderer":
    """Returns a renderer for the templates that the settings name."""
    from adapters.mail.render_client import ProcessRenderer

    public_url = PublicUrl(settings.web.public_url or "")
    return ProcessRenderer(settings.mail.templates, profile_templates=[PROFILE_TEMPLATES], public_url=public_url)


def _mailer(smtp: SmtpSettings, mail: MailSettings) -> "Mailer":
    if smtp.host is None:
        from adapters.mail.folder_mailer import FolderMailer

        return FolderMailer(mail.folder, smtp.sender)
    from adapters.mail.smtp_mailer import SmtpMailer

    return SmtpMailer(smtp)


def check_email(settings: Settings, table: ChannelTable) -> str | None:
    """Checks the mail template that the `email` table of a route names. Returns what is wrong; None if the template is
    valid."""
    if settings.mail.templates is None and is_shipped(table.template, [PROFILE_TEMPLATES]):
        return None
    from adapters.mail.jinja_rendering import fault_in_templates

    fault = fault_in_templates(settings.mail.templates, table.template, [PROFILE_TEMPLATES])
    return f"template: {fault}" if fault else None


def faults_in_mails(settings: Settings, items: Sequence[Item]) -> Sequence[str | None]:
    """Renders mails, without sending them. Returns for each the reason why its template can't be rendered; None if it
    can."""
    return asyncio.run(_rendered(mail_renderer(settings), items))


async def _rendered(renderer: "ProcessRenderer", items: Sequence[Item]) -> list[str | None]:
    try:
        results = await asyncio.gather(*map(renderer.render, items), return_exceptions=True)
    finally:
        await renderer.close()
    return [str(result) if isinstance(result, BaseException) else None for result in results]


class MailFolderReading(Provider):
    """Provides the use case that reads mails in the folder. If mails are sent to a mail server, it has no folder to
    read."""

    scope = Scope.APP

    @provide
    def read_mails(self, smtp: SmtpSettings, mail: MailSettings) -> ReadMails:
        from adapters.mail.folder_reader import EmlFolder

        return ReadMails(EmlFolder(mail.folder) if smtp.host is None else None)
