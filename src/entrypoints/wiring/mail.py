"""Mails: sent to a mail server, or written to a folder without one."""

from dishka import Provider, Scope, provide

from adapters.mail.folder import FolderMailer
from adapters.mail.reading import EmlFolder
from adapters.mail.renderer import ProcessRenderer
from adapters.mail.rendering import fault_in_templates
from adapters.mail.settings import MailSettings, SmtpSettings
from adapters.mail.smtp import SmtpMailer
from application.delivery.attempt_mail import AttemptMail, MailPolicy
from application.delivery.read_mails import ReadMails
from application.delivery.send_mails import SendMails
from application.ports.mailer import Mailer, MailRenderer
from domain.routes import RouteTable
from entrypoints.settings.loader import Settings, SettingsInvalid


class Mailing(Provider):
    """The ports for mail, and who uses them."""

    scope = Scope.APP

    attempt_mail = provide(AttemptMail)
    send_mails = provide(SendMails)

    @provide
    def policy(self, smtp: SmtpSettings, mail: MailSettings) -> MailPolicy:
        return MailPolicy(
            at_once=smtp.connections,
            attempt_seconds=mail.attempt_seconds,
            tries=mail.tries,
            retry_seconds=mail.retry_seconds,
        )

    @provide
    def renderer(self, settings: MailSettings) -> MailRenderer:
        return ProcessRenderer(settings.templates)

    @provide
    def mailer(self, smtp: SmtpSettings, mail: MailSettings) -> Mailer:
        """As SMTP_HOST says."""
        return FolderMailer(mail.folder, smtp.sender) if smtp.host is None else SmtpMailer(smtp)

    @provide
    def read_mails(self, smtp: SmtpSettings, mail: MailSettings) -> ReadMails:
        return ReadMails(EmlFolder(mail.folder) if smtp.host is None else None)


def check_templates(table: RouteTable, settings: Settings) -> None:
    """Refuses routes whose mails have no template that can be used: SettingsInvalid."""
    for profile in table.profiles:
        for number, route in enumerate(profile.routes, 1):
            if route.email and (fault := fault_in_templates(settings.mail.templates, route.email.template)):
                where = f"The profile {profile.profile}: route {number} ({route.source!r}): email.template"
                raise SettingsInvalid(f"{where}: {fault}")
