"""Reads pages of streams. Concurrent requests are answered by one statement, because after a restart of a node all its
clients request pages at the same time."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final, Generic, TypeVar

from sqlalchemy import Select

from adapters.sql.database import Database
from adapters.sql.queries import PageRequest, Queries
from adapters.sql.row_mapping import RowMapping
from adapters.sql.store_requests import StoreRequests
from application.ports.store import StreamPage
from domain.positions import Head
from domain.streams import Entry

T = TypeVar("T")

# Maximum number of pages per statement: decoding their rows blocks the event loop.
MAX_PAGES: Final = 16

_EMPTY: Final = Head()


class Pages(Generic[T]):
    """Reads pages of one kind: arrivals of inboxes, changes of inboxes, or broadcasts of feeds. `statement` is the
    statement of Queries for this kind.

    Each row of the result has the number of the request, then the columns of `head`, then those of `item`, which are
    null if the page is empty. `entry` converts an item to an entry. `position` returns the `seq` or `changed` of an
    entry, by which pages are ordered.
    """

    def __init__(
        self,
        database: Database,
        slots: asyncio.Semaphore,
        queries: Queries,
        statement: Select[Any],
        head: RowMapping[Head],
        item: RowMapping[T],
        entry: Callable[[T, Head], Entry],
        position: Callable[[Entry], int],
    ) -> None:
        self._database = database
        self._queries = queries
        self._statement = statement
        self._read_head = head.reader(1)
        self._first = 1 + len(head.columns)
        self._read_item = item.reader(self._first)
        self._entry = entry
        self._position = position
        self._request = StoreRequests(self._query, slots, max_batch=MAX_PAGES if queries.reads_many_pages else 1)

    async def __call__(self, owner: str, after: int, limit: int) -> StreamPage:
        """Returns the page with about `limit` entries after position `after`. `owner` is the user of the inbox, or the
        name of the feed."""
        return await self._request(PageRequest(owner, after, limit))

    async def _query(self, requests: Sequence[PageRequest]) -> Sequence[StreamPage]:
        rows = await self._database.fetch(self._statement, self._queries.page_parameters(requests))
        rows_of: list[list[Sequence[Any]]] = [[] for _ in requests]
        for row in rows:
            rows_of[row[0] - 1].append(row)
        return [self._page(request, part) for request, part in zip(requests, rows_of, strict=True)]

    def _page(self, request: PageRequest, rows: Sequence[Sequence[Any]]) -> StreamPage:
        if not rows:
            return StreamPage((), request.after, _EMPTY)
        head = self._read_head(rows[0])
        entry, read, first = self._entry, self._read_item, self._first
        entries = tuple(entry(read(row), head) for row in rows if row[first] is not None)
        is_full = len(entries) >= request.limit
        return StreamPage(entries, self._position(entries[-1]) if is_full else max(request.after, head.last), head)
