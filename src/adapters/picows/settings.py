"""The settings of the second WebSocket listener."""

from typing import Annotated

from domain.setting_declarations import Section, Setting
from domain.setting_parsers import port_number, text


class SocketListenerSettings(Section, frozen=True):
    """Second WebSocket listener: its port and its certificate."""

    port: Annotated[
        int | None,
        Setting(
            "HERALD_SOCKET_PORT",
            port_number,
            "The port of a second listener, which serves only WebSockets, with less memory and CPU time for each. The"
            " main port serves them as well. Needs the extra `herald[sockets]`, which the image has.",
            unset="off",
        ),
    ] = None
    certificate: Annotated[
        str | None,
        Setting(
            "HERALD_SOCKET_CERTIFICATE",
            text,
            "A PEM file with the certificate and its chain, with which the second listener serves `wss`. The signal"
            " SIGHUP reads it again.",
            unset="no TLS",
        ),
    ] = None
    key: Annotated[
        str | None,
        Setting(
            "HERALD_SOCKET_KEY",
            text,
            "A PEM file with the private key of the certificate.",
            unset="in the file of the certificate",
        ),
    ] = None

    def check(self) -> None:
        if self.certificate is not None and self.port is None:
            raise ValueError("HERALD_SOCKET_CERTIFICATE is set and HERALD_SOCKET_PORT is not: set both, or neither.")
        if self.key is not None and self.certificate is None:
            raise ValueError("HERALD_SOCKET_KEY is set and HERALD_SOCKET_CERTIFICATE is not: set both, or neither.")
