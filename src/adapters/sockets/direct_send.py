"""The web server's own ASGI `send` function. Frames are passed to it directly, because each wrapper that Litestar and
middleware put around it costs time for every frame."""

from typing import Any, Final, Protocol

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

_SEND: Final = "herald_send"
_USERS: Final = "herald_users_of_send"


class UserOfSend(Protocol):
    """An object that keeps the web server's `send` function."""

    def release(self) -> None:
        """Removes the reference to `send`."""


def with_direct_send(app: ASGIApp) -> ASGIApp:
    """Returns the ASGI application `app`, wrapped so that `direct_send` finds the web server's `send` function in the
    scope of each WebSocket and request. After it was served, the wrapper removes all references to its `send`, and to
    the `receive` of a WebSocket (see `_Connection` for the reason)."""

    def serve(scope: Scope, receive: Receive, send: Send) -> Any:
        if scope["type"] == ScopeType.WEBSOCKET:
            return _serve_socket(app, scope, receive, send)
        return _serve(app, scope, receive, send) if scope["type"] == ScopeType.HTTP else app(scope, receive, send)

    return serve


def direct_send(scope: Scope) -> Any:
    """Returns the web server's `send` function. Returns None if the application is not wrapped."""
    return scope["state"].get(_SEND)


def release_with(scope: Scope, user: UserOfSend) -> None:
    """Makes the wrapper call `release` of this object after the WebSocket or request was served."""
    scope["state"].setdefault(_USERS, []).append(user)


async def _serve_socket(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    connection = _Connection(receive, send)
    try:
        await _serve(app, scope, connection.receive, connection.send, send)
    finally:
        connection.release()


async def _serve(app: ASGIApp, scope: Scope, receive: Receive, send: Send, direct: Send | None = None) -> None:
    scope["state"][_SEND] = direct or send
    try:
        await app(scope, receive, send)
    finally:
        del scope["state"][_SEND]
        for user in scope["state"].pop(_USERS, ()):
            user.release()


class _Connection:
    """The `receive` and `send` functions of one WebSocket, until `release` is called.

    Granian closes a refused connection when no reference to these functions is left. Litestar's WebSocket object is
    part of a reference cycle; if it referred to them directly, the connection would stay open until the next garbage
    collection.
    """

    __slots__ = ("_receive", "_send")

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send

    def receive(self) -> Any:
        return self._receive()

    def send(self, message: Message) -> Any:
        return self._send(message)

    def release(self) -> None:
        del self._receive, self._send
