"""The first command of a `herald.v1` client, which may say where to resume."""

import asyncio

from domain.positions import Cursor


class FirstCommand:
    """Waits for the first command of a client. The command may never arrive. Once it has arrived, its processing may
    take longer than the timeout of the wait."""

    __slots__ = ("_cursor", "_received")

    def __init__(self) -> None:
        self._cursor: asyncio.Future[Cursor | None] = asyncio.get_running_loop().create_future()
        self._received = False

    def received(self) -> None:
        """Records that the first frame has arrived. From now on only `complete` ends the wait, however long the check
        of a token takes."""
        self._received = True

    def complete(self, cursor: Cursor | None) -> bool:
        """Ends the wait with the cursor to resume from, or None. Returns False if the wait had ended before."""
        if self._cursor.done():
            return False
        self._cursor.set_result(cursor)
        return True

    async def wait(self, timeout_s: float) -> Cursor | None:
        """Returns the cursor to resume from; None if the command has no cursor, or if no frame has arrived within the
        timeout."""
        try:
            async with asyncio.timeout(timeout_s):
                return await asyncio.shield(self._cursor)
        except TimeoutError:
            if not self._received:
                self.complete(None)
        return await self._cursor
