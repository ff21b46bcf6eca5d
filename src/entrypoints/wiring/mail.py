"""The channel `email`: mails are sent to a mail server, or written to a folder if there is none.

The modules that send mails are imported on demand: commands that send nothing read routes too, and importing Jinja
takes a while.
"""

from typing import TYPE_CHECKING

from dishka import Provider, Scope, provide

from adapters.mail.settings import MailSettings, SmtpSettings
from application.delivery.dispatch_policy import MAX_RETRY_S, DispatchPolicy
from application.delivery.read_mails import ReadMails
from domain.backoff import Backoff
from domain.channels import ChannelTable
from entrypoints.settings.loader import Settings

if TYPE_CHECKING:
    from adapters.mail.channel import MailChannel


def email_channel(settings: Settings) -> "tuple[MailChannel, DispatchPolicy]":
    """The implementation that SMTP_HOST selects."""
    from adapters.mail.channel import MailChannel
    from adapters.mail.folder import FolderMailer
    from adapters.mail.renderer import ProcessRenderer
    from adapters.mail.smtp import SmtpMailer

    smtp, mail = settings.smtp, settings.mail
    policy = DispatchPolicy(
        at_once=smtp.connections,
        attempt_seconds=mail.attempt_seconds,
        tries=mail.tries,
        retry=Backoff(mail.retry_seconds, MAX_RETRY_S),
    )
    mailer = FolderMailer(mail.folder, smtp.sender) if smtp.host is None else SmtpMailer(smtp)
    return MailChannel(ProcessRenderer(mail.templates), mailer), policy


def check_email(settings: Settings, table: ChannelTable) -> str | None:
    """What is invalid about the template that a route names, in words; None if it is valid."""
    from adapters.mail.rendering import fault_in_templates

    fault = fault_in_templates(settings.mail.templates, table.template)
    return f"template: {fault}" if fault else None


class MailFolderReading(Provider):
    """Reads mails where they are written to a folder."""

    scope = Scope.APP

    @provide
    def read_mails(self, smtp: SmtpSettings, mail: MailSettings) -> ReadMails:
        from adapters.mail.folder_reader import EmlFolder

        return ReadMails(EmlFolder(mail.folder) if smtp.host is None else None)
