"""How mails go out."""

from typing import Annotated, Literal

from entrypoints.settings import parsers
from entrypoints.settings.field import Setting
from entrypoints.settings.parsers import choice, seconds, text, verbatim, whole
from entrypoints.settings.sections.nodes import NodeSettings


class MailSettings(NodeSettings, frozen=True, kw_only=True):
    """How mails go out."""

    smtp_host: Annotated[
        str | None,
        Setting("SMTP_HOST", parsers.host, "The mail server. Without one, mails are written to HERALD_MAIL_FOLDER."),
    ]
    smtp_port: Annotated[
        int | None,
        Setting("SMTP_PORT", parsers.port, "Its port.", unset="25; with starttls 587, with tls 465"),
    ]
    smtp_from: Annotated[
        str,
        Setting(
            "SMTP_FROM",
            parsers.mailbox,
            "Who mails are from: an address, or `Name <address>`.",
            "Herald <herald@localhost>",
        ),
    ]
    smtp_security: Annotated[
        Literal["none", "starttls", "tls"],
        Setting(
            "HERALD_SMTP_SECURITY",
            choice("none", "starttls", "tls"),
            "How the mail server is spoken to: in the clear, with STARTTLS or not at all, or with TLS from the start.",
            "none",
        ),
    ]
    smtp_cafile: Annotated[
        str | None,
        Setting(
            "HERALD_SMTP_CAFILE",
            parsers.file,
            "The certificates to trust the mail server by, a PEM file.",
            unset="the system's",
        ),
    ]
    smtp_user: Annotated[str | None, Setting("HERALD_SMTP_USER", text, "Who we are to the mail server.")]
    smtp_password: Annotated[
        str | None, Setting("HERALD_SMTP_PASSWORD", verbatim, "The password of that user.", secret=True)
    ]
    smtp_connections: Annotated[
        int,
        Setting(
            "HERALD_SMTP_CONNECTIONS", whole(200), "How many mails this process sends at once, one a connection.", "10"
        ),
    ]
    mail_templates: Annotated[
        str | None,
        Setting(
            "HERALD_MAIL_TEMPLATES",
            parsers.folder,
            "A folder of mail templates that go before the shipped ones of the same names.",
        ),
    ]
    mail_folder: Annotated[
        str, Setting("HERALD_MAIL_FOLDER", text, "Where mails are written without a mail server.", "var/mail")
    ]
    mail_addresses: Annotated[
        int,
        Setting(
            "HERALD_MAIL_ADDRESSES",
            whole(10_000),
            "How many addresses one event may mail to; with more it becomes a dead letter.",
            "100",
        ),
    ]
    mail_tries: Annotated[
        int, Setting("HERALD_MAIL_TRIES", whole(1_000), "How often a mail is tried before it has failed.", "60")
    ]
    mail_retry_seconds: Annotated[
        float,
        Setting(
            "HERALD_MAIL_RETRY_SECONDS",
            seconds,
            "How long until a mail is tried again; twice as long after each further try, up to an hour.",
            "10",
        ),
    ]
    mail_attempt_seconds: Annotated[
        float, Setting("HERALD_MAIL_ATTEMPT_SECONDS", seconds, "How long one try may take.", "30")
    ]
