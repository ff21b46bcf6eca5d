"""What is kept, where, and for how long."""

from typing import Annotated, Literal

from entrypoints.settings import parsers
from entrypoints.settings.field import Setting
from entrypoints.settings.parsers import choice, days, whole
from entrypoints.settings.sections.brokers import BrokerSettings


class StorageSettings(BrokerSettings, frozen=True, kw_only=True):
    """What is kept, where, and for how long."""

    database_url: Annotated[
        str,
        Setting(
            "DATABASE_URL",
            parsers.database_url,
            "The database that keeps everything: `postgresql+asyncpg://…`, `sqlite+aiosqlite:///FILE`, or `memory:` for"
            " none.",
            "sqlite+aiosqlite:///var/herald.db",
        ),
    ]
    database_connections: Annotated[
        int,
        Setting(
            "HERALD_DATABASE_CONNECTIONS", whole(1000), "How many connections this process has to PostgreSQL.", "10"
        ),
    ]
    database_pooler: Annotated[
        Literal["none", "session", "transaction"],
        Setting(
            "HERALD_DATABASE_POOLER",
            choice("none", "session", "transaction"),
            "What DATABASE_URL leads to: PostgreSQL itself (`none`), or a pooler before it, such as PgBouncer, in"
            " `session` or `transaction` mode.",
            "none",
        ),
    ]
    keep_inbox_days: Annotated[
        int, Setting("HERALD_KEEP_INBOX_DAYS", days, "How long an inbox keeps a notification.", "365")
    ]
    keep_inbox_entries: Annotated[
        int, Setting("HERALD_KEEP_INBOX_ENTRIES", whole(), "How many notifications each inbox keeps.", "100000")
    ]
    keep_feed_days: Annotated[int, Setting("HERALD_KEEP_FEED_DAYS", days, "How long a feed keeps a broadcast.", "30")]
    keep_feed_entries: Annotated[
        int, Setting("HERALD_KEEP_FEED_ENTRIES", whole(), "How many broadcasts each feed keeps.", "100000")
    ]
    keep_dead_letter_days: Annotated[
        int, Setting("HERALD_KEEP_DEAD_LETTER_DAYS", days, "How long a dead letter is kept.", "90")
    ]
    keep_dead_letters: Annotated[
        int, Setting("HERALD_KEEP_DEAD_LETTERS", whole(), "How many dead letters are kept.", "100000")
    ]
    keep_delivery_days: Annotated[
        int,
        Setting(
            "HERALD_KEEP_DELIVERY_DAYS", days, "How long a delivery is kept; a pending one until it is none.", "90"
        ),
    ]
    keep_deliveries: Annotated[
        int,
        Setting("HERALD_KEEP_DELIVERIES", whole(), "How many deliveries are kept beside the pending ones.", "1000000"),
    ]
