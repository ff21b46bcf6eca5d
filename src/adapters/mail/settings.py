"""What an operator sets about the mail server."""

from typing import Final, Literal

import msgspec

# RFC 8314, section 7, and RFC 5321, section 4.5.4.2.
PORTS: Final = {"none": 25, "starttls": 587, "tls": 465}


class SmtpSettings(msgspec.Struct, frozen=True):
    """Where the mail server is, as whom to go there, and who mails are from.

    `sender` is an address or `Name <address>`; `port` None is the usual one for `security`; `connections` is how many
    there are at once.
    """

    host: str
    port: int | None = None
    sender: str = "Herald <herald@localhost>"
    security: Literal["none", "starttls", "tls"] = "none"
    cafile: str | None = None
    user: str | None = None
    password: str | None = None
    connections: int = 10

    def __post_init__(self) -> None:
        if (self.user is None) != (self.password is None):
            raise ValueError("the mail server's user and password go together: one is missing")

    @property
    def its_port(self) -> int:
        return PORTS[self.security] if self.port is None else self.port
