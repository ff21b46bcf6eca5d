"""What many ask of Redis at once, asked together."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any, Final, TypeAlias

Command: TypeAlias = tuple[str | int | float | bytes, ...]

# Questions in one round trip: some 20 ms, in which nothing else of this node gets its turn.
AT_ONCE: Final = 500


class RedisAway(Exception):
    """It can't be asked, has not answered, or has refused."""


class Questions:
    """Whatever is asked while an answer is awaited goes together in the next round trip.

    So one connection serves any number: after the end of one node, all of its clients arrive here within seconds. And
    who gives up waiting leaves no answer behind for another.
    """

    def __init__(self, ask: Callable[[Sequence[Command]], Awaitable[list[Any]]]) -> None:
        """`ask` gives an answer for each, or raises RedisAway; an answer may be one, too."""
        self._ask = ask
        self._waiting: deque[tuple[Command, asyncio.Future[Any]]] = deque()
        self._asking: asyncio.Task[None] | None = None

    async def ask(self, command: Command) -> Any:
        """Raises RedisAway."""
        answer = asyncio.get_running_loop().create_future()
        self._waiting.append((command, answer))
        if self._asking is None:
            self._asking = asyncio.create_task(self._ask_all(), name="ask Redis")
        return await answer

    async def close(self) -> None:
        if self._asking is not None:
            self._asking.cancel()
            with suppress(asyncio.CancelledError):
                await self._asking

    async def _ask_all(self) -> None:
        some: list[tuple[Command, asyncio.Future[Any]]] = []
        try:
            while self._waiting:
                some = [self._waiting.popleft() for _ in range(min(AT_ONCE, len(self._waiting)))]
                try:
                    answers = await self._ask([command for command, _ in some])
                except RedisAway as away:
                    answers = [away] * len(some)
                for (_, future), answer in zip(some, answers, strict=True):
                    _answer(future, answer)
        finally:
            self._asking = None
            # None, unless this was ended in the middle.
            for _, future in (*some, *self._waiting):
                _answer(future, RedisAway("closed"))
            self._waiting.clear()


def _answer(future: asyncio.Future[Any], answer: Any) -> None:
    if future.done():
        return
    if isinstance(answer, Exception):
        future.set_exception(answer)
    else:
        future.set_result(answer)
