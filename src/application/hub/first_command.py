"""The wait for the first command of a `herald.v1` client, which may contain the cursor to resume from."""

import asyncio

from domain.positions import Cursor


class FirstCommand:
    """The wait of a session for the first command of its client, which may contain the cursor to resume from. The
    session calls `wait` before it sends `hello`; ClientCommands calls `received` and `complete`.

    The wait ends after a timeout if the client sends nothing. If a frame has arrived, the wait ends when the command in
    the frame has been carried out. This may take longer than the timeout, for example if the command contains a token.
    """

    __slots__ = ("_cursor", "_received")

    def __init__(self) -> None:
        self._cursor: asyncio.Future[Cursor | None] = asyncio.get_running_loop().create_future()
        self._received = False

    def received(self) -> None:
        """Records that the first frame of the client has arrived: `wait` no longer ends by its timeout, only by
        `complete`."""
        self._received = True

    def complete(self, cursor: Cursor | None) -> bool:
        """Ends the wait: `wait` returns this cursor, or None if the client does not resume. Returns False, without
        effect, if the wait has ended before."""
        if self._cursor.done():
            return False
        self._cursor.set_result(cursor)
        return True

    async def wait(self, timeout_s: float) -> Cursor | None:
        """Waits until `complete` is called, and returns the cursor given to `complete`. Returns None if no frame has
        arrived within `timeout_s` seconds."""
        try:
            async with asyncio.timeout(timeout_s):
                return await asyncio.shield(self._cursor)
        except TimeoutError:
            if not self._received:
                self.complete(None)
        return await self._cursor
