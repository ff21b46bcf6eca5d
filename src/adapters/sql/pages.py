"""Pages of streams. Those that are wanted at once are read by one statement: after a restart everybody wants one."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final

from sqlalchemy import Select

from adapters.sql import row_mapping as rows
from adapters.sql.coalescer import Gather
from adapters.sql.database import Database
from adapters.sql.queries import Queries, Stretch
from application.ports.store import Page
from domain.positions import Head
from domain.streams import Entry

# Pages that one statement reads: while it decodes their rows, the loop does nothing else.
MOST: Final = 16

_EMPTY: Final = Head()


class Pages:
    """Pages of one kind, by a statement of Queries: in each row the number of its stretch, `counters` columns that
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
        self._gather = Gather(self._ask, turns, most=MOST if queries.takes_many_stretches else 1)

    async def __call__(self, owner: str, after: int, limit: int) -> Page:
        return await self._gather(Stretch(owner, after, limit))

    async def _ask(self, stretches: Sequence[Stretch]) -> Sequence[Page]:
        parameters = self._queries.stretches(stretches)
        found = await self._database.fetch(self._statement, parameters)
        parts: list[list[Sequence[Any]]] = [[] for _ in stretches]
        for row in found:
            parts[row[0] - 1].append(row)
        return [self._page(stretch, part) for stretch, part in zip(stretches, parts, strict=True)]

    def _page(self, stretch: Stretch, part: Sequence[Sequence[Any]]) -> Page:
        if not part:
            return Page((), stretch.after, _EMPTY)
        first = self._first
        head = rows.head(part[0][1:first])
        entries = tuple(self._entry(row[first:], head) for row in part if row[first] is not None)
        upto = self._place(entries[-1]) if len(entries) >= stretch.limit else max(stretch.after, head.last)
        return Page(entries, upto, head)
