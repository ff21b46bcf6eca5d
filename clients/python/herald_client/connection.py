"""One WebSocket connection to Herald, from the handshake to the close."""

import asyncio
import logging
from collections.abc import Mapping
from contextlib import suppress
from ssl import SSLContext
from typing import Any, Final

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import (
    ConnectionClosed,
    InvalidHeaderValue,
    InvalidProxy,
    InvalidStatus,
    InvalidURI,
    SecurityError,
    WebSocketException,
)
from websockets.typing import Subprotocol

from herald_client.connection_end import BROKEN, ConnectionEnded, Reaction, after_close, after_refusal
from herald_client.connection_timing import Timing
from herald_client.objects import Bye, Hello, ProtocolError

SUBPROTOCOL: Final = Subprotocol("herald.v1")

# The number of heartbeat intervals without a frame after which the connection is aborted: one heartbeat may be late.
MAX_MISSED_HEARTBEATS: Final = 2.5


# At level DEBUG, the library websockets logs the handshake including the token. The level INFO of this logger prevents
# that, whatever the level of its parents.
_quiet: Final = logging.getLogger("herald_client.websockets")
_quiet.setLevel(logging.INFO)


class _Connect(connect):
    """Opens WebSocket connections without following redirects: a redirect could send the cursor and the token to
    another server."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


class Connection:
    """One WebSocket connection with the subprotocol `herald.v1`. The Receiver opens a new one after each disconnect.

    The connection is aborted if the caller waits in `receive` for longer than a timeout and no frame arrives. The
    timeout is 15 s until `hello` (`Timing.hello_timeout_s`), and 2.5 heartbeat intervals from then on. Time between two
    calls of `receive` does not count. The client sends no pings: Herald's heartbeats show that the connection works.
    """

    def __init__(self, socket: ClientConnection, timing: Timing) -> None:
        self.hello: Hello | None = None
        self._socket = socket
        self._bye: Bye | None = None
        self._loop = asyncio.get_running_loop()
        self._close_timeout_s = timing.close_timeout_s
        self._timeout_s = timing.hello_timeout_s
        self._waiting_since: float | None = None
        self._waited = 0.0  # since the last frame, in calls of `receive` that were cancelled
        self._timed_out = False
        # One timer for the connection, because a timer for each frame would cost more.
        self._timer = self._loop.call_later(self._timeout_s, self._check_timeout)

    @classmethod
    async def open(
        cls, address: str, token: str | None, headers: Mapping[str, str], ssl: SSLContext | None, timing: Timing
    ) -> "Connection":
        """Opens a WebSocket connection. Raises ConnectionEnded if Herald can't be reached, refuses the handshake, or
        does not support `herald.v1`.

        The token is sent in the header `Authorization`, so that Herald can refuse the handshake with an HTTP status and
        `Retry-After`.
        """
        connecting = _connect(address, token, headers, ssl, timing)
        try:
            socket = await connecting
        except InvalidStatus as error:
            response = error.response
            body = bytes(response.body or b"")
            raise after_refusal(response.status_code, response.headers, body, response.reason_phrase) from None
        # The texts of these exceptions contain the token or the password of a proxy.
        except InvalidHeaderValue as error:
            raise _stop(f"the header {error.name} has an invalid value") from None
        except InvalidProxy:
            raise _stop("the proxy in the environment is invalid") from None
        except SecurityError:
            raise _stop("the server does not speak HTTP") from None
        except ConnectionRefusedError:
            raise ConnectionEnded("connection refused") from None
        except (OSError, WebSocketException) as error:
            raise ConnectionEnded(str(error) or type(error).__name__) from None
        except ValueError:
            # Last, because the error for an untrusted certificate is both a ValueError and an OSError.
            raise _stop("the host, or the proxy in the environment, is invalid") from None
        if socket.subprotocol != SUBPROTOCOL:
            socket.transport.abort()
            raise _stop("the server does not speak herald.v1")
        return cls(socket, timing)

    async def receive(self) -> str:
        """Waits for the next frame and returns its text. Raises ConnectionEnded if the connection ends or no frame
        arrives within the timeout, and ProtocolError for a binary frame. If the call is cancelled, no frame is lost:
        the next call returns it."""
        self._waiting_since = self._loop.time() - self._waited
        try:
            frame = await self._socket.recv()
        except asyncio.CancelledError:
            # A caller that polls cancels each call after a short time. Add up the times, because the timer might never
            # run during a call.
            self._waited = self._loop.time() - self._waiting_since
            if self._waited >= self._timeout_s:
                self._time_out()
            raise
        except ConnectionClosed:
            raise self._end() from None
        finally:
            self._waiting_since = None
        self._waited = 0.0
        if not isinstance(frame, str):
            raise ProtocolError("a binary frame")
        return frame

    async def send(self, frame: str) -> None:
        """Sends a text frame. If the connection has ended already, nothing is sent, and the next `receive` raises
        ConnectionEnded."""
        with suppress(ConnectionClosed):
            await self._socket.send(frame)

    def expect_heartbeats(self, hello: Hello) -> None:
        """Sets the receive timeout to 2.5 times the heartbeat interval in `hello`. Called when `hello` has been
        received."""
        self.hello = hello
        self._expect_within(hello.heartbeat * MAX_MISSED_HEARTBEATS)

    def expect_close(self, bye: Bye) -> None:
        """Sets the receive timeout to `Timing.close_timeout_s` (1 s). Called when `bye` has been received: Herald
        closes the connection after it."""
        self._bye = bye
        self._expect_within(self._close_timeout_s)

    async def close(self) -> None:
        self._timer.cancel()
        await self._socket.close()

    def abort(self) -> None:
        """Closes the TCP connection immediately, without a WebSocket close frame."""
        self._timer.cancel()
        self._socket.transport.abort()

    def _end(self) -> ConnectionEnded:
        if self._bye is not None:
            return after_close(self._bye.code, self._bye.reason, self._bye.reconnect_in)
        if self._timed_out:
            return ConnectionEnded(f"nothing received for {self._timeout_s:g} s")
        return after_close(self._socket.close_code or BROKEN, self._socket.close_reason or "")

    def _expect_within(self, seconds: float) -> None:
        self._timeout_s = seconds
        self._timer.cancel()
        self._timer = self._loop.call_later(seconds, self._check_timeout)

    def _check_timeout(self) -> None:
        """Aborts the connection if the current call of `receive` has waited for the whole timeout; otherwise restarts
        the timer with the remaining time. Called by the timer."""
        since = self._waiting_since
        waited = self._loop.time() - since if since is not None else 0.0
        if waited >= self._timeout_s:
            self._time_out()
        else:
            self._timer = self._loop.call_later(self._timeout_s - waited, self._check_timeout)

    def _time_out(self) -> None:
        self._timed_out = True
        self.abort()


def _stop(reason: str) -> ConnectionEnded:
    return ConnectionEnded(reason, reaction=Reaction.STOP)


def _connect(
    address: str, token: str | None, headers: Mapping[str, str], ssl: SSLContext | None, timing: Timing
) -> _Connect:
    authorization = {"Authorization": f"Bearer {token}"} if token is not None else {}
    secure: dict[str, Any] = {"ssl": ssl} if ssl is not None else {}
    try:
        return _Connect(
            address,
            subprotocols=[SUBPROTOCOL],
            additional_headers={**authorization, **headers},
            # The service does not compress, and this client sets no size limit for entries.
            compression=None,
            max_size=None,
            ping_interval=None,
            open_timeout=timing.open_timeout_s,
            close_timeout=timing.close_timeout_s,
            logger=_quiet,
            **secure,
        )
    except InvalidURI:
        # The exception's text contains the whole address.
        raise _stop("the URL is not the address of a socket") from None
