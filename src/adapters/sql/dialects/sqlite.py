"""Implements Writing for an SQLite file, with one statement for each row: SQLite runs within this process, so a
statement costs no round trip."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, Literal

import msgspec
from sqlalchemy import Table, bindparam, case, func, insert, select, text, update
from sqlalchemy.dialects.sqlite import insert as insert_or_not
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import BigInteger, Text

from adapters.sql.batch_rows import Arrivals, BatchedDeadLetter, Counter, dead_letter_columns
from adapters.sql.queries import broadcasts, inboxes, notifications
from adapters.sql.queries import feeds as feeds_table
from adapters.sql.queries import letters as letters_table
from adapters.sql.state_columns import state_values
from application.ports.clock import IdFactory
from domain.protocol.plain_envelopes import data_text
from domain.streams import Content

_KNOWN: Final = {
    kind: text(
        f"SELECT t.{column} AS name, t.origin, t.event_id, t.source FROM json_each(:keys) k JOIN {table} t"  # noqa: S608 - our own names
        f" ON t.{column} = json_extract(k.value, '$[0]') AND t.origin = json_extract(k.value, '$[1]')"
        f" AND t.event_id = json_extract(k.value, '$[2]')"
    )
    for kind, table, column in (("user", "notifications", "user_id"), ("feed", "broadcasts", "feed"))
}


def _count_statement(table: Table, key: str, **more: Any) -> Any:
    """Returns the statement that updates the counters of one stream. `table` is `inboxes` or `feeds`, `key` its column
    with the user or feed, and `more` are additional columns to set."""
    added = bindparam("added", type_=BigInteger)
    now = bindparam("now", type_=table.c.oldest_at.type)
    return (
        update(table)
        .where(table.c[key] == bindparam("counted"))
        .values(
            last_seq=bindparam("last"),
            qualified_seq=bindparam("qualified"),
            entry_count=table.c.entry_count + added,
            oldest_at=case((added > 0, func.coalesce(table.c.oldest_at, now)), else_=table.c.oldest_at),
            **more,
        )
    )


_COUNT_INBOX: Final = _count_statement(
    inboxes, "user_id", unread_count=bindparam("unread"), not_before=bindparam("barred")
)
_COUNT_FEED: Final = _count_statement(feeds_table, "name")
# `data` is already JSON, encoded once for all rows that share it.
_ADD_NOTIFICATION: Final = insert(notifications).values(data=bindparam("json", type_=Text))
_KEEP_LETTER: Final = insert_or_not(letters_table)
_KEEP_LETTER_AGAIN: Final = _KEEP_LETTER.on_conflict_do_update(
    index_elements=["identity"],
    set_={
        "times": letters_table.c.times + _KEEP_LETTER.excluded.times,
        **{name: _KEEP_LETTER.excluded[name] for name in ("source", "reason", "detail", "letter")},
    },
)


class SqliteWriting:
    """Implements Writing for SQLite."""

    check_duplicates = True

    async def open_streams(self, connection: AsyncConnection, users: Sequence[str], feeds: Sequence[str]) -> None:
        for table, key, names in ((inboxes, "user_id", users), (feeds_table, "name", feeds)):
            if names:
                statement = insert_or_not(table).on_conflict_do_nothing()
                await connection.execute(statement, [{key: name} for name in names])

    async def entry_sources(
        self, connection: AsyncConnection, kind: Literal["user", "feed"], keys: Sequence[tuple[str, str, str]]
    ) -> dict[tuple[str, str, str], str]:
        parameter = {"keys": msgspec.json.encode(keys).decode()}
        rows = await connection.execute(_KNOWN[kind], parameter)
        return {(row.name, row.origin, row.event_id): row.source for row in rows}

    async def add_notifications(
        self, connection: AsyncConnection, arrivals: Arrivals, counters: Sequence[Counter], now: datetime
    ) -> int:
        shared = [
            {
                **_shared_columns(content, now),
                "notification_type": content.type,
                "title": content.title or "",
                "message": content.message or "",
                "url": content.url,
                "json": data_text(content),
                "updated_at": now,
            }
            for content in arrivals.contents
        ]
        columns = (arrivals.numbers, arrivals.ids, arrivals.names, arrivals.seqs, arrivals.states)
        added = [
            {
                **shared[number - 1],
                "id": id_,
                "user_id": name,
                "seq": seq,
                "changed": seq,
                **state_values(state),
            }
            for number, id_, name, seq, state in zip(*columns, strict=True)
        ]
        if added:
            await connection.execute(_ADD_NOTIFICATION, added)
        counts = [_counted(one, now) | {"unread": one.unread, "barred": one.not_before} for one in counters]
        await connection.execute(_COUNT_INBOX, counts)
        return len(added)

    async def add_broadcasts(
        self, connection: AsyncConnection, arrivals: Arrivals, counters: Sequence[Counter], now: datetime
    ) -> int:
        shared = [{**_shared_columns(content, now), "type": content.type} for content in arrivals.contents]
        added = [
            {**shared[number - 1], "id": id_, "feed": name, "seq": seq}
            for number, id_, name, seq in zip(
                arrivals.numbers, arrivals.ids, arrivals.names, arrivals.seqs, strict=True
            )
        ]
        if added:
            await connection.execute(insert(broadcasts), added)
        await connection.execute(_COUNT_FEED, [_counted(one, now) for one in counters])
        return len(added)

    async def dead_letter_sources(self, connection: AsyncConnection, identities: Sequence[bytes]) -> dict[bytes, str]:
        columns = letters_table.c
        statement = select(columns.identity, columns.source).where(columns.identity.in_(identities))
        return {row.identity: row.source for row in await connection.execute(statement)}

    async def store_dead_letters(
        self, connection: AsyncConnection, letters: dict[bytes, BatchedDeadLetter], ids: IdFactory, now: datetime
    ) -> dict[bytes, bool]:
        # The caller has looked up the sources in this transaction, and SQLite has no concurrent writer. So no identity
        # can belong to another source now.
        known = await self.dead_letter_sources(connection, list(letters))
        kept = [
            {"id": ids.new_id(), "identity": key, "kept_at": now, **dead_letter_columns(letter)}
            for key, letter in letters.items()
        ]
        await connection.execute(_KEEP_LETTER_AGAIN, kept)
        return {key: key not in known for key in letters}


def _shared_columns(content: Content, now: datetime) -> dict[str, Any]:
    """Returns the columns that rows of `notifications` and of `broadcasts` have in common."""
    return {
        "origin": content.origin,
        "event_id": content.event_id,
        "source": content.source,
        "event_type": content.event_type,
        "profile": content.profile,
        "envelope": content.envelope,
        "body": content.body,
        "event_time": content.time,
        "created_at": now,
    }


def _counted(counter: Counter, now: datetime) -> dict[str, Any]:
    return {
        "counted": counter.name,
        "last": counter.last,
        "qualified": counter.qualified,
        "added": counter.added,
        "now": now,
    }
