"""Implements Writing for PostgreSQL. Each statement has one array parameter for each column, so it writes any number of
rows in one round trip.

If several rows share a content (what one route made of one event), the content is sent to the database once. Each row
has the index of its content, counted from 1.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, Literal

from sqlalchemy import BigInteger, Boolean, DateTime, LargeBinary, Text, Uuid
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import TypeEngine

from adapters.sql.batch_rows import Arrivals, BatchedDeadLetter, Counter, dead_letter_columns
from adapters.sql.text_statement import statement
from application.ports.clock import IdFactory
from domain.protocol.plain_envelopes import data_text

_TEXTS: Final = ARRAY(Text)
_NUMBERS: Final = ARRAY(BigInteger)
_IDS: Final = ARRAY(Uuid)
_FLAGS: Final = ARRAY(Boolean)
_TIME: Final = DateTime(timezone=True)
_TIMES: Final = ARRAY(_TIME)
_BYTES: Final = ARRAY(LargeBinary)

_OPEN_INBOXES: Final = statement(
    "INSERT INTO inboxes (user_id) SELECT unnest(:names) ON CONFLICT DO NOTHING", names=_TEXTS
)
_OPEN_FEEDS: Final = statement("INSERT INTO feeds (name) SELECT unnest(:names) ON CONFLICT DO NOTHING", names=_TEXTS)

_KNOWN: Final = {
    kind: statement(
        f"SELECT t.{column} AS name, t.origin, t.event_id, t.source"  # noqa: S608 - our own names
        f" FROM unnest(:names, :origins, :event_ids) AS k(name, origin, event_id) JOIN {table} t"
        f" ON t.{column} = k.name AND t.origin = k.origin AND t.event_id = k.event_id",
        names=_TEXTS,
        origins=_TEXTS,
        event_ids=_TEXTS,
    )
    for kind, table, column in (("user", "notifications", "user_id"), ("feed", "broadcasts", "feed"))
}

_CONTENT_TYPES: Final[dict[str, TypeEngine[Any]]] = {
    "origins": _TEXTS,
    "event_ids": _TEXTS,
    "sources": _TEXTS,
    "types": _TEXTS,
    "event_types": _TEXTS,
    "profiles": _TEXTS,
    "envelopes": _TEXTS,
    "bodies": _TEXTS,
    "event_times": _TIMES,
}
_ROW_TYPES: Final[dict[str, TypeEngine[Any]]] = {"ids": _IDS, "names": _TEXTS, "seqs": _NUMBERS, "numbers": _NUMBERS}
_COUNTER_TYPES: Final[dict[str, TypeEngine[Any]]] = {
    "counted": _TEXTS,
    "lasts": _NUMBERS,
    "added": _NUMBERS,
    "qualified": _NUMBERS,
}

_ADD_NOTIFICATIONS: Final = statement(
    """
    WITH added AS (
        INSERT INTO notifications (
            id, user_id, seq, changed, is_read, read_at, is_muted, created_at, updated_at, origin, event_id, source,
            notification_type, event_type, profile, envelope, body, event_time, title, message, url, data
        )
        SELECT r.id, r.name, r.seq, r.seq, r.read_at IS NOT NULL, r.read_at, r.muted, :now, :now, c.origin,
            c.event_id, c.source, c.type, c.event_type, c.profile, c.envelope, c.body, c.event_time, c.title,
            c.message, c.url, c.data::jsonb
        FROM unnest(:ids, :names, :seqs, :numbers, :read_ats, :muted) AS r(id, name, seq, number, read_at, muted)
        JOIN unnest(
            :origins, :event_ids, :sources, :types, :event_types, :profiles, :envelopes, :bodies, :event_times, :titles,
            :messages, :urls, :data
        ) WITH ORDINALITY AS c(
            origin, event_id, source, type, event_type, profile, envelope, body, event_time, title, message, url, data,
            number
        ) ON c.number = r.number
        ON CONFLICT (user_id, origin, event_id) DO NOTHING
        RETURNING 1
    ), counted AS (
        UPDATE inboxes i
        SET last_seq = n.last, unread_count = n.unread, entry_count = i.entry_count + n.added,
            oldest_at = CASE WHEN n.added > 0 THEN coalesce(i.oldest_at, :now) ELSE i.oldest_at END,
            not_before = n.not_before, qualified_seq = n.qualified
        FROM unnest(:counted, :lasts, :added, :qualified, :unread, :not_befores)
            AS n(name, last, added, qualified, unread, not_before)
        WHERE i.user_id = n.name
    )
    SELECT count(*) FROM added
    """,
    **_ROW_TYPES,
    **_CONTENT_TYPES,
    **_COUNTER_TYPES,
    read_ats=_TIMES,
    muted=_FLAGS,
    titles=_TEXTS,
    messages=_TEXTS,
    urls=_TEXTS,
    data=_TEXTS,
    unread=_NUMBERS,
    not_befores=_TIMES,
    now=_TIME,
)

_ADD_BROADCASTS: Final = statement(
    """
    WITH added AS (
        INSERT INTO broadcasts (
            id, feed, seq, created_at, origin, event_id, source, type, event_type, profile, envelope, body, event_time
        )
        SELECT r.id, r.name, r.seq, :now, c.origin, c.event_id, c.source, c.type, c.event_type, c.profile, c.envelope,
            c.body, c.event_time
        FROM unnest(:ids, :names, :seqs, :numbers) AS r(id, name, seq, number)
        JOIN unnest(
            :origins, :event_ids, :sources, :types, :event_types, :profiles, :envelopes, :bodies, :event_times
        ) WITH ORDINALITY AS c(
            origin, event_id, source, type, event_type, profile, envelope, body, event_time, number
        ) ON c.number = r.number
        ON CONFLICT (feed, origin, event_id) DO NOTHING
        RETURNING 1
    ), counted AS (
        UPDATE feeds f
        SET last_seq = n.last, entry_count = f.entry_count + n.added, oldest_at = coalesce(f.oldest_at, :now),
            qualified_seq = n.qualified
        FROM unnest(:counted, :lasts, :added, :qualified) AS n(name, last, added, qualified)
        WHERE f.name = n.name AND n.added > 0
    )
    SELECT count(*) FROM added
    """,
    **_ROW_TYPES,
    **_CONTENT_TYPES,
    **_COUNTER_TYPES,
    now=_TIME,
)

# xmax is 0 in a row that this statement has inserted, and the updating transaction's id otherwise.
_KEEP_LETTERS: Final = statement(
    """
    INSERT INTO dead_letters (id, identity, times, source, event_id, reason, detail, letter, kept_at)
    SELECT l.*, :now
    FROM unnest(:ids, :identities, :times_, :source_, :event_id_, :reason_, :detail_, :letter_) AS l
    ON CONFLICT (identity) DO UPDATE
    SET times = dead_letters.times + excluded.times, source = excluded.source, reason = excluded.reason,
        detail = excluded.detail, letter = excluded.letter
    WHERE dead_letters.source = excluded.source OR dead_letters.identity = ANY(:of_any_source)
    RETURNING identity, xmax = 0 AS is_new
    """,
    ids=_IDS,
    identities=_BYTES,
    times_=_NUMBERS,
    source_=_TEXTS,
    event_id_=_TEXTS,
    reason_=_TEXTS,
    detail_=_TEXTS,
    letter_=_BYTES,
    of_any_source=_BYTES,
    now=_TIME,
)

_LETTER_SOURCES: Final = statement(
    "SELECT identity, source FROM dead_letters WHERE identity = ANY(:identities)", identities=_BYTES
)


class PostgresqlWriting:
    """Implements Writing for PostgreSQL."""

    check_duplicates = False

    async def open_streams(self, connection: AsyncConnection, users: Sequence[str], feeds: Sequence[str]) -> None:
        if users:
            await connection.execute(_OPEN_INBOXES, {"names": users})
        if feeds:
            await connection.execute(_OPEN_FEEDS, {"names": feeds})

    async def entry_sources(
        self, connection: AsyncConnection, kind: Literal["user", "feed"], keys: Sequence[tuple[str, str, str]]
    ) -> dict[tuple[str, str, str], str]:
        names, origins, event_ids = (list(column) for column in zip(*keys, strict=True))
        columns = {"names": names, "origins": origins, "event_ids": event_ids}
        rows = await connection.execute(_KNOWN[kind], columns)
        return {(row.name, row.origin, row.event_id): row.source for row in rows}

    async def add_notifications(
        self, connection: AsyncConnection, arrivals: Arrivals, counters: Sequence[Counter], now: datetime
    ) -> int:
        contents = arrivals.contents
        columns = {
            **_shared_parameters(arrivals, counters, now),
            "read_ats": [state.read_at for state in arrivals.states],
            "muted": [state.muted for state in arrivals.states],
            "titles": [content.title or "" for content in contents],
            "messages": [content.message or "" for content in contents],
            "urls": [content.url for content in contents],
            "data": [data_text(content) for content in contents],
            "unread": [counter.unread for counter in counters],
            "not_befores": [counter.not_before for counter in counters],
        }
        return await connection.scalar(_ADD_NOTIFICATIONS, columns) or 0

    async def add_broadcasts(
        self, connection: AsyncConnection, arrivals: Arrivals, counters: Sequence[Counter], now: datetime
    ) -> int:
        columns = _shared_parameters(arrivals, counters, now)
        return await connection.scalar(_ADD_BROADCASTS, columns) or 0

    async def dead_letter_sources(self, connection: AsyncConnection, identities: Sequence[bytes]) -> dict[bytes, str]:
        found = await connection.execute(_LETTER_SOURCES, {"identities": identities})
        return {row.identity: row.source for row in found}

    async def store_dead_letters(
        self, connection: AsyncConnection, letters: dict[bytes, BatchedDeadLetter], ids: IdFactory, now: datetime
    ) -> dict[bytes, bool]:
        kept = [(key, ids.new_id(), dead_letter_columns(letter)) for key, letter in letters.items()]
        # Sorted by identity, so that nodes lock rows in the same order and can't deadlock. The ids preserve the order
        # of arrival.
        kept.sort(key=lambda one: one[0])
        columns: dict[str, Any] = {f"{name}_": [one[name] for _, _, one in kept] for name in kept[0][2]}
        columns |= {"identities": [key for key, _, _ in kept], "ids": [id_ for _, id_, _ in kept], "now": now}
        columns["of_any_source"] = [key for key, letter in letters.items() if not letter.by_source]
        return {row.identity: row.is_new for row in await connection.execute(_KEEP_LETTERS, columns)}


def _shared_parameters(arrivals: Arrivals, counters: Sequence[Counter], now: datetime) -> dict[str, Any]:
    """Returns the parameters that _ADD_NOTIFICATIONS and _ADD_BROADCASTS have in common."""
    contents = arrivals.contents
    return {
        "ids": arrivals.ids,
        "names": arrivals.names,
        "seqs": arrivals.seqs,
        "numbers": arrivals.numbers,
        "origins": [content.origin for content in contents],
        "event_ids": [content.event_id for content in contents],
        "sources": [content.source for content in contents],
        "types": [content.type for content in contents],
        "event_types": [content.event_type for content in contents],
        "profiles": [content.profile for content in contents],
        "envelopes": [content.envelope for content in contents],
        "bodies": [content.body for content in contents],
        "event_times": [content.time for content in contents],
        "counted": [counter.name for counter in counters],
        "lasts": [counter.last for counter in counters],
        "added": [counter.added for counter in counters],
        "qualified": [counter.qualified for counter in counters],
        "now": now,
    }
