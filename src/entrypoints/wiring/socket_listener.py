"""Provides the second WebSocket listener, if HERALD_SOCKET_PORT is set."""

from typing import TYPE_CHECKING, NamedTuple

from dishka import Provider, Scope, provide

from adapters.web.serve_socket import SocketGate
from application.live.addresses import addresses
from application.routes_in_force import RoutesInForce
from domain.public_url import PublicUrl
from entrypoints.file_descriptors import BACKLOG
from entrypoints.listening import listening_address
from entrypoints.settings.loader import Settings
from entrypoints.wiring.web_access import allowed_hosts

if TYPE_CHECKING:
    from adapters.picows.listener import SocketListener


class SocketListeners(NamedTuple):
    """The listeners beside the main port: the second WebSocket listener, or none."""

    all: "tuple[SocketListener, ...]"


class SecondListener(Provider):
    scope = Scope.APP

    @provide
    def listeners(self, settings: Settings, gate: SocketGate, routes: RoutesInForce) -> SocketListeners:
        if settings.sockets.port is None:
            return SocketListeners(())
        # Imported here, because picows is an extra.
        from adapters.picows.listener import SocketListener

        listener = SocketListener(
            gate,
            routes,
            addresses(routes.table),
            allowed_hosts(settings),
            PublicUrl(settings.web.public_url or ""),
            settings.sockets,
            listening_address(settings.server.host, settings.sockets.port, "HERALD_SOCKET_PORT"),
            settings.server.port,
            BACKLOG,
        )
        return SocketListeners((listener,))


def check_listener(settings: Settings) -> None:
    """Raises OSError or ValueError with the reason if the second listener can't start: if picows is not installed, its
    port can't be used, or its certificate can't be read."""
    if settings.sockets.port is None:
        return
    try:
        from adapters.picows.listener import load_certificate
    except ImportError as error:
        raise ValueError(
            f"HERALD_SOCKET_PORT needs a package that is not installed ({error}): pip install 'herald[sockets]'"
        ) from None
    if settings.sockets.port == settings.server.port:
        raise ValueError("HERALD_SOCKET_PORT and HERALD_PORT are the same: each listener needs a port of its own")
    load_certificate(settings.sockets)
    listening_address(settings.server.host, settings.sockets.port, "HERALD_SOCKET_PORT")
