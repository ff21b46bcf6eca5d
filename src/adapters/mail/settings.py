"""The settings of the channel `email`: the mail server, and the mails."""

from typing import Annotated, Final, Literal

from adapters.path_setting_parsers import file_path, folder_path
from domain.email_addresses import as_address, fault_in_address, split_mailbox
from domain.setting_declarations import Section, Setting
from domain.setting_parsers import choice, host_name, port_number, seconds, text, verbatim, whole

# Default ports: RFC 8314, section 7, and RFC 5321, section 4.5.4.2.
PORTS: Final = {"none": 25, "starttls": 587, "tls": 465}


def mailbox(value: str) -> str:
    """Checks that the value is an address or `Name <address>`, and returns it. Raises ValueError if it is not."""
    given = value.strip()
    _, address = split_mailbox(given)
    fault = None if given.isprintable() else "it has a line break or another control character in it"
    if fault := fault or fault_in_address(as_address(address)):
        raise ValueError(f"must be an address, or Name <address>, and {given!r} is not: {fault}")
    return given


class SmtpSettings(Section, frozen=True):
    """Mail server: its address, encryption and credentials, and the sender of mails."""

    host: Annotated[
        str | None,
        Setting(
            "SMTP_HOST",
            host_name,
            "The host name or address of the mail server. If it is not set, mails are written to HERALD_MAIL_FOLDER.",
        ),
    ] = None
    port: Annotated[
        int | None,
        Setting("SMTP_PORT", port_number, "The mail server's port.", unset="25; 587 with `starttls`, 465 with `tls`"),
    ] = None
    sender: Annotated[str, Setting("SMTP_FROM", mailbox, "The sender of mails: an address, or `Name <address>`.")] = (
        "Herald <herald@localhost>"
    )
    security: Annotated[
        Literal["none", "starttls", "tls"],
        Setting(
            "HERALD_SMTP_SECURITY",
            choice("none", "starttls", "tls"),
            "The encryption of the connection: `none`; `starttls` (a server without STARTTLS is not used); or `tls`"
            " from the first byte.",
        ),
    ] = "none"
    cafile: Annotated[
        str | None,
        Setting(
            "HERALD_SMTP_CAFILE",
            file_path,
            "A PEM file with the certificate authorities that are trusted for the mail server.",
            unset="the system's authorities",
        ),
    ] = None
    user: Annotated[str | None, Setting("HERALD_SMTP_USER", text, "The user name for the mail server.")] = None
    password: Annotated[
        str | None, Setting("HERALD_SMTP_PASSWORD", verbatim, "The password for the mail server.", secret=True)
    ] = None
    connections: Annotated[
        int,
        Setting(
            "HERALD_SMTP_CONNECTIONS",
            whole(200),
            "The maximum number of mails that this process sends concurrently, each by a connection of its own.",
        ),
    ] = 10

    def check(self) -> None:
        if (self.user is None) != (self.password is None):
            raise ValueError("HERALD_SMTP_USER and HERALD_SMTP_PASSWORD go together, and only one of them is set.")

    @property
    def its_port(self) -> int:
        return PORTS[self.security] if self.port is None else self.port


class MailSettings(Section, frozen=True):
    """Mails: the templates, the attempts to send a mail, and the folder that is used without a mail server."""

    templates: Annotated[
        str | None,
        Setting(
            "HERALD_MAIL_TEMPLATES",
            folder_path,
            "A folder with mail templates. A template in it replaces the shipped one of the same name.",
        ),
    ] = None
    folder: Annotated[
        str, Setting("HERALD_MAIL_FOLDER", text, "The folder that mails are written to if SMTP_HOST is not set.")
    ] = "var/mail"
    tries: Annotated[
        int, Setting("HERALD_MAIL_TRIES", whole(1_000), "The number of attempts after which a mail has failed.")
    ] = 60
    retry_seconds: Annotated[
        float,
        Setting(
            "HERALD_MAIL_RETRY_SECONDS",
            seconds,
            "The delay before the second attempt at a mail. It doubles with each further attempt, up to 1 h.",
            unit="s",
        ),
    ] = 10.0
    attempt_seconds: Annotated[
        float, Setting("HERALD_MAIL_ATTEMPT_SECONDS", seconds, "The timeout of one attempt at a mail.", unit="s")
    ] = 30.0
