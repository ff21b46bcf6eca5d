"""Provides the ports for stored data, implemented by a database or in memory."""

from collections.abc import AsyncIterator

from dishka import Provider, Scope, provide

from adapters.memory.backlog_counts import MemoryBacklog
from adapters.memory.bindings import MemoryBindings
from adapters.memory.dead_letters import MemoryDeadLetters
from adapters.memory.deliveries import MemoryDeliveries
from adapters.memory.inboxes import MemoryInboxes
from adapters.memory.preferences import MemoryPreferences
from adapters.memory.retention import MemoryRetention
from adapters.memory.shared_records import MemoryRecords
from adapters.memory.start_offsets import MemoryStartOffsets
from adapters.memory.store import MemoryStore
from adapters.sql.backlog_counts import SqlBacklog
from adapters.sql.database import Database
from adapters.sql.dead_letters import SqlDeadLetters
from adapters.sql.deliveries import SqlDeliveries
from adapters.sql.inboxes import SqlInboxes
from adapters.sql.preferences import SqlPreferences
from adapters.sql.queue_bindings import SqlBindings
from adapters.sql.retention import SqlRetention
from adapters.sql.settings import MEMORY, DatabaseSettings
from adapters.sql.start_offsets import SqlStartOffsets
from adapters.sql.store import SqlStore
from application.counters import Counters
from application.ports.backlog_counts import Backlog
from application.ports.bindings import Bindings
from application.ports.clock import IdFactory
from application.ports.dead_letters import DeadLetters
from application.ports.deliveries import Deliveries
from application.ports.inboxes import Inboxes
from application.ports.preferences import PreferencesStore
from application.ports.retention import Retention
from application.ports.start_offsets import StartOffsets
from application.ports.store import Store
from entrypoints.settings.loader import Settings


class SqlStorage(Provider):
    """Provides the ports for stored data, implemented by an SQL database. Its schema must be up to date
    (entrypoints.prepare_database)."""

    scope = Scope.APP

    store = provide(SqlStore, provides=Store)
    inboxes = provide(SqlInboxes, provides=Inboxes)
    preferences = provide(SqlPreferences, provides=PreferencesStore)
    dead_letters = provide(SqlDeadLetters, provides=DeadLetters)
    deliveries = provide(SqlDeliveries, provides=Deliveries)
    retention = provide(SqlRetention, provides=Retention)
    start_offsets = provide(SqlStartOffsets, provides=StartOffsets)
    bindings = provide(SqlBindings, provides=Bindings)
    backlog = provide(SqlBacklog, provides=Backlog)

    @provide
    async def database(self, settings: DatabaseSettings, counters: Counters) -> AsyncIterator[Database]:
        database = Database(settings.url, settings.connections, counters, settings.pooler)
        yield database
        await database.close()


class MemoryStorage(Provider):
    """Provides the ports for stored data, implemented in memory. The data is lost when the process ends."""

    scope = Scope.APP

    store = provide(MemoryStore, provides=Store)
    inboxes = provide(MemoryInboxes, provides=Inboxes)
    preferences = provide(MemoryPreferences, provides=PreferencesStore)
    dead_letters = provide(MemoryDeadLetters, provides=DeadLetters)
    deliveries = provide(MemoryDeliveries, provides=Deliveries)
    retention = provide(MemoryRetention, provides=Retention)
    start_offsets = provide(MemoryStartOffsets, provides=StartOffsets)
    bindings = provide(MemoryBindings, provides=Bindings)
    backlog = provide(MemoryBacklog, provides=Backlog)

    @provide
    def records(self, ids: IdFactory) -> MemoryRecords:
        return MemoryRecords(ids)


def storage(settings: Settings) -> Provider:
    """Returns MemoryStorage if DATABASE_URL selects the store in memory, otherwise SqlStorage."""
    return MemoryStorage() if settings.database.url == MEMORY else SqlStorage()
