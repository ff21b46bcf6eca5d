"""How mails go: to a mail server, or into a folder where there is none."""

from dishka import Provider, Scope, provide

from adapters.mail.folder import FolderMailer
from adapters.mail.reading import EmlFolder
from adapters.mail.renderer import ProcessRenderer
from adapters.mail.rendering import fault_in_templates
from adapters.mail.settings import SmtpSettings
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
    def policy(self, settings: Settings) -> MailPolicy:
        return MailPolicy(
            at_once=settings.smtp_connections,
            attempt_seconds=settings.mail_attempt_seconds,
            tries=settings.mail_tries,
            retry_seconds=settings.mail_retry_seconds,
        )

    @provide
    def renderer(self, settings: Settings) -> MailRenderer:
        return ProcessRenderer(settings.mail_templates)

    @provide
    def mailer(self, settings: Settings) -> Mailer:
        """What SMTP_HOST asks for."""
        if settings.smtp_host is None:
            return FolderMailer(settings.mail_folder, settings.smtp_from)
        return SmtpMailer(
            SmtpSettings(
                host=settings.smtp_host,
                port=settings.smtp_port,
                sender=settings.smtp_from,
                security=settings.smtp_security,
                cafile=settings.smtp_cafile,
                user=settings.smtp_user,
                password=settings.smtp_password,
                connections=settings.smtp_connections,
            )
        )

    @provide
    def read_mails(self, settings: Settings) -> ReadMails:
        return ReadMails(EmlFolder(settings.mail_folder) if settings.smtp_host is None else None)


def check_templates(table: RouteTable, settings: Settings) -> None:
    """Refuses routes whose mails have no template that can be used: SettingsInvalid."""
    for profile in table.profiles:
        for number, route in enumerate(profile.routes, 1):
            if route.email and (fault := fault_in_templates(settings.mail_templates, route.email.template)):
                where = f"The profile {profile.profile}: route {number} ({route.source!r}): email.template"
                raise SettingsInvalid(f"{where}: {fault}")
