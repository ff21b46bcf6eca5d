"""One socket, from handshake to close."""

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

from herald_client.endings import BROKEN, Ended, Then, closed, refused
from herald_client.objects import Bye, Hello, NotUnderstood

SUBPROTOCOL: Final = Subprotocol("herald.v1")

# Seconds for address, TLS and handshake together; from then to `hello`, of which the service may spend one on waiting
# for the first frame and more on its store; and from `bye`, or our own close, to the end.
OPEN: Final = 10.0
HELLO: Final = 15.0
CLOSE: Final = 1.0

# Heartbeats that may be missing: one can be late, and two are no accident.
MOST_MISSED: Final = 2.5


# At DEBUG websockets logs the handshake, with the token: not here, whatever is set for all others.
_quiet: Final = logging.getLogger("herald_client.websockets")
_quiet.setLevel(logging.INFO)


class _Opening(connect):
    """Follows no redirect, as browsers do not: whoever redirects would choose who gets the place and the token."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


class Connection:
    """A socket that speaks herald.v1, and is given up when nothing comes for too long.

    The service's heartbeats are what tells that it lives, and that its session does; so there are no pings. Silence
    counts only while someone waits for a frame: a caller that takes its time is not the service's fault.
    """

    def __init__(self, socket: ClientConnection) -> None:
        self.hello: Hello | None = None
        self._socket = socket
        self._bye: Bye | None = None
        self._loop = asyncio.get_running_loop()
        self._patience = HELLO
        self._waiting_since: float | None = None
        self._waited = 0.0  # since the last frame, in calls of `receive` that were cancelled
        self._silent = False
        self._timer = self._loop.call_later(self._patience, self._look)

    @classmethod
    async def open(
        cls, address: str, token: str | None, headers: Mapping[str, str], ssl: SSLContext | None
    ) -> "Connection":
        """Raises Ended.

        The token goes into a header, not into the first frame: so the service knows from the start who calls, and may
        answer by HTTP how long to wait.
        """
        opening = _opening(address, token, headers, ssl)
        try:
            socket = await opening
        except InvalidStatus as answer:
            got = answer.response
            raise refused(got.status_code, got.headers, bytes(got.body or b""), got.reason_phrase) from None
        # In websockets' own words for these there is the token, or the password of a proxy.
        except InvalidHeaderValue as fault:
            raise Ended(f"the header {fault.name} has no valid value", then=Then.STOP) from None
        except InvalidProxy:
            raise Ended("the proxy that the environment names is none", then=Then.STOP) from None
        except SecurityError:
            raise Ended("what answers there does not speak HTTP", then=Then.STOP) from None
        except ConnectionRefusedError:
            raise Ended("nothing answers there") from None
        except (OSError, WebSocketException) as fault:
            raise Ended(str(fault) or type(fault).__name__) from None
        except ValueError:
            # Last, since a certificate that is not trusted is one as well as an OSError. It is of a part of a URL.
            raise Ended("the host, or the proxy that the environment names, is none", then=Then.STOP) from None
        if socket.subprotocol != SUBPROTOCOL:
            socket.transport.abort()
            raise Ended("what answers there does not speak herald.v1", then=Then.STOP)
        return cls(socket)

    async def receive(self) -> str:
        """The next frame. Raises Ended, or NotUnderstood for a binary one. May be cancelled, and called again."""
        self._waiting_since = self._loop.time() - self._waited
        try:
            frame = await self._socket.recv()
        except asyncio.CancelledError:
            # Whoever polls waits as well, in pieces; and the timer may never find it waiting.
            self._waited = self._loop.time() - self._waiting_since
            if self._waited >= self._patience:
                self._give_up()
            raise
        except ConnectionClosed:
            raise self._ending() from None
        finally:
            self._waiting_since = None
        self._waited = 0.0
        if not isinstance(frame, str):
            raise NotUnderstood("a binary frame")
        return frame

    async def say(self, frame: str) -> None:
        """Sends, unless the connection has ended: `receive` will tell."""
        with suppress(ConnectionClosed):
            await self._socket.send(frame)

    def greeted(self, hello: Hello) -> None:
        """From now on there are heartbeats."""
        self.hello = hello
        self._expect_within(hello.heartbeat * MOST_MISSED)

    def told(self, bye: Bye) -> None:
        """The service is about to close."""
        self._bye = bye
        self._expect_within(CLOSE)

    async def close(self) -> None:
        self._timer.cancel()
        await self._socket.close()

    def abort(self) -> None:
        """Ends it at once, without a word."""
        self._timer.cancel()
        self._socket.transport.abort()

    def _ending(self) -> Ended:
        if self._bye is not None:
            return closed(self._bye.code, self._bye.reason, self._bye.reconnect_in)
        if self._silent:
            return Ended(f"nothing came for {self._patience:g} s")
        return closed(self._socket.close_code or BROKEN, self._socket.close_reason or "")

    def _expect_within(self, seconds: float) -> None:
        self._patience = seconds
        self._timer.cancel()
        self._timer = self._loop.call_later(seconds, self._look)

    def _look(self) -> None:
        """One timer for a whole connection, not one a frame: it looks back when it is due."""
        since = self._waiting_since
        waited = self._loop.time() - since if since is not None else 0.0
        if waited >= self._patience:
            self._give_up()
        else:
            self._timer = self._loop.call_later(self._patience - waited, self._look)

    def _give_up(self) -> None:
        self._silent = True
        self.abort()


def _opening(address: str, token: str | None, headers: Mapping[str, str], ssl: SSLContext | None) -> _Opening:
    shown = {"Authorization": f"Bearer {token}"} if token is not None else {}
    secure: dict[str, Any] = {"ssl": ssl} if ssl is not None else {}
    try:
        return _Opening(
            address,
            subprotocols=[SUBPROTOCOL],
            additional_headers={**shown, **headers},
            # The service does not compress; and what it has stored it may send, however large.
            compression=None,
            max_size=None,
            ping_interval=None,
            open_timeout=OPEN,
            close_timeout=CLOSE,
            logger=_quiet,
            **secure,
        )
    except InvalidURI:
        # Its words hold all of the address.
        raise Ended("this is no address of a socket", then=Then.STOP) from None
