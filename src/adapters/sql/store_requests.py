"""Requests to the database that are coalesced, with a timeout for each."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Generic

from adapters.coalescer import Answer, Coalescer, Request
from adapters.sql.errors import Refused
from application.ports.store import StoreUnavailable

# Timeout of a request. For a client, an error that allows a retry is better than waiting for a stalled database.
REQUEST_TIMEOUT_S: Final = 10.0


class StoreRequests(Generic[Request, Answer]):
    """A Coalescer for the database. If the database refuses a value, the batch is halved and repeated until only the
    request with that value fails. A request without an answer after `timeout_s` seconds fails with StoreUnavailable."""

    def __init__(
        self,
        query: Callable[[Sequence[Request]], Awaitable[Sequence[Answer]]],
        slots: asyncio.Semaphore,
        *,
        max_batch: int,
        timeout_s: float = REQUEST_TIMEOUT_S,
    ) -> None:
        self._query = query
        self._timeout_s = timeout_s
        self._coalesced: Coalescer[Request, Answer] = Coalescer(self._halving, slots, max_batch=max_batch)

    async def __call__(self, request: Request) -> Answer:
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._coalesced(request)
        except TimeoutError:
            raise self._unanswered() from None

    async def _halving(self, requests: Sequence[Request]) -> Sequence[Answer | Exception]:
        """Answers the requests by one query. If the database refuses a value, halves the requests and queries each
        half."""
        try:
            # A statement that times out here continues until its own limits end it, and then returns its connection to
            # the pool.
            async with asyncio.timeout(self._timeout_s):
                answers = await self._query(requests)
            if len(answers) != len(requests):
                raise ValueError(f"{len(answers)} answers to {len(requests)} requests")
            return answers
        except TimeoutError:
            raise self._unanswered() from None
        except Refused as error:
            if len(requests) == 1:
                return [error]
            middle = len(requests) // 2
            return [*await self._halving(requests[:middle]), *await self._halving(requests[middle:])]

    def _unanswered(self) -> StoreUnavailable:
        return StoreUnavailable(f"the database has not answered within {self._timeout_s:g} s")
