"""Concurrent commands to Redis, sent in one round trip."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any, Final, TypeAlias

Command: TypeAlias = tuple[str | int | float | bytes, ...]

# Commands in one round trip: about 20 ms, during which the event loop of this node does nothing else.
MAX_BATCH_SIZE: Final = 500


class RedisUnavailable(Exception):
    """Redis is not connected, has not answered in time, or has refused the command."""


class CommandBatcher:
    """Sends the commands that arrive during a round trip together in the next one.

    So one connection serves any number of callers: when a node ends, all of its clients reconnect here within seconds.
    A caller that gives up leaves no answer behind for another.
    """

    def __init__(self, send: Callable[[Sequence[Command]], Awaitable[list[Any]]]) -> None:
        """`send` returns an answer for each command, which may be a RedisUnavailable, or raises RedisUnavailable."""
        self._send = send
        self._waiting: deque[tuple[Command, asyncio.Future[Any]]] = deque()
        self._sending: asyncio.Task[None] | None = None

    async def execute(self, command: Command) -> Any:
        """Raises RedisUnavailable."""
        answer = asyncio.get_running_loop().create_future()
        self._waiting.append((command, answer))
        if self._sending is None:
            self._sending = asyncio.create_task(self._send_all(), name="redis commands")
        return await answer

    async def close(self) -> None:
        if self._sending is not None:
            self._sending.cancel()
            with suppress(asyncio.CancelledError):
                await self._sending

    async def _send_all(self) -> None:
        batch: list[tuple[Command, asyncio.Future[Any]]] = []
        try:
            while self._waiting:
                batch = [self._waiting.popleft() for _ in range(min(MAX_BATCH_SIZE, len(self._waiting)))]
                try:
                    answers = await self._send([command for command, _ in batch])
                except RedisUnavailable as error:
                    answers = [error] * len(batch)
                for (_, future), answer in zip(batch, answers, strict=True):
                    _answer(future, answer)
        finally:
            self._sending = None
            # Only if the task was cancelled.
            for _, future in (*batch, *self._waiting):
                _answer(future, RedisUnavailable("closed"))
            self._waiting.clear()


def _answer(future: asyncio.Future[Any], answer: Any) -> None:
    if future.done():
        return
    if isinstance(answer, Exception):
        future.set_exception(answer)
    else:
        future.set_result(answer)
