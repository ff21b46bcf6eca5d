"""Coalescing of concurrent requests for the same kind of data into one query."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Generic, TypeVar

from adapters.sql.errors import Refused
from application.ports.store import StoreUnavailable

Request = TypeVar("Request")
Answer = TypeVar("Answer")

# Timeout of a request: for a client, an error that asks for a retry is better than waiting for a stalled database.
REQUEST_TIMEOUT_S: Final = 10.0


class Coalescer(Generic[Request, Answer]):
    """Runs `query` for up to `max_batch` requests together.

    A request runs immediately if one of `slots` is free; requests that arrive while all slots are busy are coalesced
    into one query. So a thousand clients that reconnect at the same moment cost a few statements, and leave connections
    for other work. No answer is older than its request. If the database refuses a value, the batch is halved until only
    the request with that value fails. A request without an answer after `timeout_s` fails with StoreUnavailable.
    """

    def __init__(
        self,
        query: Callable[[Sequence[Request]], Awaitable[Sequence[Answer]]],
        slots: asyncio.Semaphore,
        *,
        max_batch: int,
        timeout_s: float = REQUEST_TIMEOUT_S,
    ) -> None:
        self._query = query
        self._slots = slots
        self._max_batch = max_batch
        self._timeout_s = timeout_s
        self._waiting: deque[tuple[Request, asyncio.Future[Answer]]] = deque()
        self._scheduled = False  # whether a task is waiting for a slot
        self._tasks: set[asyncio.Task[None]] = set()

    async def __call__(self, request: Request) -> Answer:
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((request, future))
        self._schedule()
        try:
            async with asyncio.timeout(self._timeout_s):
                return await future
        except TimeoutError:
            raise StoreUnavailable(f"the database has not answered within {self._timeout_s:g} s") from None

    def _schedule(self) -> None:
        if self._waiting and not self._scheduled:
            self._scheduled = True
            task = asyncio.create_task(self._run_batch())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _run_batch(self) -> None:
        async with self._slots:
            batch: list[tuple[Request, asyncio.Future[Answer]]] = []
            while self._waiting and len(batch) < self._max_batch:
                request, future = self._waiting.popleft()
                if not future.done():  # cancelled by its caller
                    batch.append((request, future))
            self._scheduled = False
            self._schedule()
            await self._answer(batch)

    async def _answer(self, batch: Sequence[tuple[Request, asyncio.Future[Answer]]]) -> None:
        batch = [(request, future) for request, future in batch if not future.done()]
        if not batch:
            return
        try:
            # A statement that times out here continues until its own limits end it, and then returns its connection to
            # the pool.
            async with asyncio.timeout(self._timeout_s):
                answers = await self._query([request for request, _ in batch])
            for (_, future), answer in list(zip(batch, answers, strict=True)):
                if not future.done():
                    future.set_result(answer)
        except Refused as error:
            if len(batch) == 1:
                _fail(batch, error)
            else:
                middle = len(batch) // 2
                await self._answer(batch[:middle])
                await self._answer(batch[middle:])
        except TimeoutError:
            pass  # the callers have timed out as well
        except Exception as error:
            _fail(batch, error)


def _fail(batch: Sequence[tuple[Request, asyncio.Future[Answer]]], error: Exception) -> None:
    for _, future in batch:
        if not future.done():
            future.set_exception(error)
