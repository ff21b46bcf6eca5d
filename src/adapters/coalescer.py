"""Answers many concurrent requests with few queries: requests that wait at the same time share one query."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Generic, TypeVar

Request = TypeVar("Request")
Answer = TypeVar("Answer")


class Coalescer(Generic[Request, Answer]):
    """Collects concurrent requests into batches: `await coalescer(request)` returns the answer, and one call of `query`
    answers up to `max_batch` requests. Used for the database and Redis: a thousand clients that reconnect at the same
    moment cause a few queries, not a thousand.

    A request is queried immediately if fewer queries are running than `slots` allows. Otherwise it waits, and then
    shares a query with other waiting requests. A query never starts before a request that it answers was made, so no
    answer is older than its request. If the caller of a waiting request is cancelled, the request is removed from its
    batch.
    """

    def __init__(
        self,
        query: Callable[[Sequence[Request]], Awaitable[Sequence[Answer | Exception]]],
        slots: asyncio.Semaphore,
        *,
        max_batch: int,
    ) -> None:
        """`query` receives at most `max_batch` requests and returns one answer for each, in the same order. If it
        returns an exception in place of an answer, only that request fails; if it raises an exception, all requests
        of the batch fail. `slots` limits the number of concurrent queries."""
        self._query = query
        self._slots = slots
        self._max_batch = max_batch
        self._waiting: deque[tuple[Request, asyncio.Future[Answer]]] = deque()
        self._scheduled = False  # whether a task is waiting for a slot
        self._tasks: set[asyncio.Task[None]] = set()

    async def __call__(self, request: Request) -> Answer:
        """Returns the answer to the request. If `query` returned an exception in place of the answer, or failed for
        the whole batch, raises that exception."""
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((request, future))
        self._schedule()
        return await future

    async def close(self, error: Exception) -> None:
        """Cancels the running queries. All requests without an answer raise `error`. The coalescer can be used again
        afterwards."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._scheduled = False
        _fail(self._waiting, error)
        self._waiting.clear()

    def _schedule(self) -> None:
        if self._waiting and not self._scheduled:
            self._scheduled = True
            task = asyncio.create_task(self._run_batch(), name="coalesced requests")
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
            if batch:
                await self._answer(batch)

    async def _answer(self, batch: Sequence[tuple[Request, asyncio.Future[Answer]]]) -> None:
        try:
            answers = await self._query([request for request, _ in batch])
            answered = list(zip(batch, answers, strict=True))
        except asyncio.CancelledError:
            self._waiting.extend(batch)  # `close` fails them
            raise
        except Exception as error:
            _fail(batch, error)
            return
        for (_, future), answer in answered:
            if future.done():
                continue
            if isinstance(answer, Exception):
                future.set_exception(answer)
            else:
                future.set_result(answer)


def _fail(requests: Iterable[tuple[Request, asyncio.Future[Answer]]], error: Exception) -> None:
    for _, future in requests:
        if not future.done():
            future.set_exception(error)
