"""Pages of streams. Those that are wanted at once are read by one statement: after a restart everybody wants one."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final

from sqlalchemy import Select

from adapters.sql import row_mapping as rows
from adapters.sql.coalescer import Coalescer
from adapters.sql.database import Database
from adapters.sql.queries import PageRequest, Queries
from application.ports.store import StreamPage
from domain.positions import Head
from domain.streams import Entry

# Pages that one statement reads: while it decodes their rows, the loop does nothing else.
MAX_PAGES: Final = 16

_EMPTY: Final = Head()


class Pages:
    """Pages of one kind, by a statement of Queries: in each row the number of its request, `counters` columns that
    make its stream's head, and, unless the page is empty, what `entry` takes. `place` is an entry's position."""

    def __init__(
        self,
        database: Database,
        turns: asyncio.Semaphore,
        queries: Queries,
        statement: Select[Any],
        counters: int,
        entry: Callable[[Sequence[Any], Head], Entry],
        place: Callable[[Entry], int],
    ) -> None:
        self._database = database
        self._queries = queries
        self._statement = statement
        self._first = 1 + counters
        self._entry = entry
        self._place = place
        self._gather = Coalescer(self._ask, turns, max_batch=MAX_PAGES if queries.reads_many_pages else 1)

    async def __call__(self, owner: str, after: int, limit: int) -> StreamPage:
        return await self._gather(PageRequest(owner, after, limit))

    async def _ask(self, requests: Sequence[PageRequest]) -> Sequence[StreamPage]:
        parameters = self._queries.page_parameters(requests)
        found = await self._database.fetch(self._statement, parameters)
        parts: list[list[Sequence[Any]]] = [[] for _ in requests]
        for row in found:
            parts[row[0] - 1].append(row)
        return [self._page(request, part) for request, part in zip(requests, parts, strict=True)]

    def _page(self, request: PageRequest, part: Sequence[Sequence[Any]]) -> StreamPage:
        if not part:
            return StreamPage((), request.after, _EMPTY)
        first = self._first
        head = rows.head(part[0][1:first])
        entries = tuple(self._entry(row[first:], head) for row in part if row[first] is not None)
        upto = self._place(entries[-1]) if len(entries) >= request.limit else max(request.after, head.last)
        return StreamPage(entries, upto, head)
