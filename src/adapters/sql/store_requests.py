"""Combines concurrent read requests to the database into one query, with a timeout for each request."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Generic

from adapters.coalescer import Answer, Coalescer, Request
from adapters.sql.errors import Refused
from application.ports.store import StoreUnavailable

# Timeout of a request. For a client, an error that allows a retry is better than waiting for a stalled database.
REQUEST_TIMEOUT_S: Final = 10.0


class StoreRequests(Generic[Request, Answer]):
    """Answers read requests in batches, by a Coalescer: one call of `query` for up to `max_batch` concurrent requests.

    If the database refuses a value of a request, only this request fails, with Refused. A request that is not answered
    within `timeout_s` seconds fails with StoreUnavailable.
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
        self._timeout_s = timeout_s
        self._coalesced: Coalescer[Request, Answer] = Coalescer(self._query_in_halves, slots, max_batch=max_batch)

    async def __call__(self, request: Request) -> Answer:
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._coalesced(request)
        except TimeoutError:
            raise self._unanswered() from None

    async def _query_in_halves(self, requests: Sequence[Request]) -> Sequence[Answer | Exception]:
        """Answers a batch of requests by one query. If the database refuses a value, divides the batch in two and
        queries each half, until the request with this value is alone: its answer is the error."""
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
            return [*await self._query_in_halves(requests[:middle]), *await self._query_in_halves(requests[middle:])]

    def _unanswered(self) -> StoreUnavailable:
        return StoreUnavailable(f"the database has not answered within {self._timeout_s:g} s")
