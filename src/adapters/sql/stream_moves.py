"""Reads which streams have changed, from what the triggers of `stream_move_triggers` record on PostgreSQL."""

from typing import Any, Final, NamedTuple

import msgspec
from sqlalchemy import Integer, Text

from adapters.sql.database import Database
from adapters.sql.text_statement import statement
from application.ports.store import Moved

# How long rows are kept. A mark that is older than half of this may be from before a deleted row.
KEPT_S: Final = 600

# The columns that a mark is made of (see _Mark).
_MARK: Final = "extract(epoch FROM now())::bigint AS at, pg_current_snapshot()::text AS snapshot"

_READ_MARK: Final = statement(f"SELECT {_MARK}, NULL AS moved")
# The rows that have become visible since the snapshot. The first condition uses the index: all transactions before
# `xmin` were visible in the snapshot.
_READ_MOVES: Final = statement(
    f"""
    SELECT {_MARK}, (
        SELECT array_agg(streams) FROM stream_moves
        WHERE transaction_id >= pg_snapshot_xmin(CAST(:since AS pg_snapshot))::text::bigint
            AND NOT pg_visible_in_snapshot(transaction_id::text::xid8, CAST(:since AS pg_snapshot))
    ) AS moved
    """,  # noqa: S608 - our own names
    since=Text(),
)
_PRUNE: Final = statement(
    "DELETE FROM stream_moves WHERE at < now() - make_interval(secs => :kept_s)", kept_s=Integer()
)


class _Mark(NamedTuple):
    """A moment of the database: its clock, in seconds since 1970, and a snapshot in PostgreSQL's text form
    (`xmin:xmax:…`), which says exactly which transactions were visible at that moment."""

    at: int
    snapshot: str

    @classmethod
    def parse(cls, text: str) -> "_Mark":
        at, _, snapshot = text.partition(" ")
        return cls(int(at), snapshot)

    @property
    def xmax(self) -> int:
        """The id of the first transaction that had not begun."""
        return int(self.snapshot.split(":")[1])

    def __str__(self) -> str:
        return f"{self.at} {self.snapshot}"


class StreamMoves:
    """Implements Store.moved, and deletes old records."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def since(self, mark: str | None) -> Moved:
        if not self._database.is_postgresql:
            return Moved(None, None)
        before = _Mark.parse(mark) if mark is not None else None
        sql, parameters = (_READ_MOVES, {"since": before.snapshot}) if before is not None else (_READ_MARK, {})
        (row,) = await self._database.fetch(sql, parameters)
        now = _Mark(row.at, row.snapshot)
        # Transaction ids start again if the database was restored in another server.
        known = before is not None and now.at - before.at <= KEPT_S / 2 and before.xmax <= now.xmax
        return Moved(_names(row.moved) if known else None, str(now))

    async def prune(self) -> None:
        """Deletes the records that are older than `KEPT_S` seconds."""
        if self._database.is_postgresql:
            await self._database.write(lambda connection: connection.execute(_PRUNE, {"kept_s": KEPT_S}))


def _names(texts: Any) -> frozenset[str]:
    return frozenset(name for text in texts or () for name in msgspec.json.decode(text, type=list[str]))
