"""Reloads the routes of a running node."""

import asyncio
import sys
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import msgspec
import structlog

from application.counters import Counters
from application.ingest.keep_bindings import KeepBindings
from application.live.recheck_sessions import RecheckSessions
from application.ports.event_source import EventSource
from application.ports.routes_loader import RoutesLoader
from application.ports.service import Phase, Service
from application.ports.store import StoreUnavailable
from application.routes_in_force import RoutesInForce
from domain.route_changes import changed_routes, changed_sources, reasons_to_restart
from domain.route_table import RouteTable
from domain.routes import RoutesInvalid
from domain.routes_version import version_of

log = structlog.get_logger(__name__)


class ReloadPolicy(msgspec.Struct, frozen=True):
    """Timings of ReloadRoutes. Files are read until two reads, `settle_s` seconds apart, have the same result, because
    a file may be written at the moment; at most `max_reads` times."""

    settle_s: float = 0.2
    max_reads: int = 10


DEFAULT: Final = ReloadPolicy()

# While a thread reads the files, the event loop waits this long, in seconds, each time it needs the interpreter lock.
# Python's default is 5 ms, which would delay events: the loop needs the lock several times for each.
LOCK_WAIT_S: Final = 0.0005

# Maximum number of routes that a log line names.
MAX_CHANGED_ROUTES: Final = 50


class ReloadRequests:
    """Requests to reload the routes, such as the signal SIGHUP. Requests that are made before a reload begins lead to
    one reload; a request during a reload leads to another one after it."""

    def __init__(self) -> None:
        self._requested = asyncio.Event()

    def add(self) -> None:
        self._requested.set()

    async def next(self) -> None:
        """Waits until a reload is requested."""
        await self._requested.wait()
        self._requested.clear()


class Loaded(msgspec.Struct, frozen=True):
    """The result of reading the routes files: the routes, their version and the files that were not read; or the reason
    why the routes are invalid."""

    version: str = ""
    fault: str = ""
    table: RouteTable | None = None
    ignored_files: tuple[str, ...] = ()

    def equals(self, other: "Loaded | None") -> bool:
        return other is not None and (self.version, self.fault) == (other.version, other.fault)


class ReloadRoutes(Service):
    """Service that loads the routes again on request, and puts them in force.

    The new routes are loaded and checked first. If they are invalid, or need a restart, they are refused: the reasons
    are logged, and the routes in force stay. Otherwise they replace these in one step of the event loop, together with
    the source patterns of the brokers: a batch that was taken before is stored by the earlier routes, a batch that is
    taken afterwards by the new ones. Then all sessions are checked against the new routes.
    """

    name = "reload"
    phase = Phase.INGEST

    def __init__(
        self,
        requests: ReloadRequests,
        loader: RoutesLoader,
        routes: RoutesInForce,
        sources: Sequence[EventSource],
        bindings: KeepBindings,
        recheck_sessions: RecheckSessions,
        counters: Counters,
        brokers: Collection[str],
        override: str | None,
        policy: ReloadPolicy = DEFAULT,
    ) -> None:
        """`brokers` are all brokers to which a process can subscribe; `override` is the broker that all profiles use
        instead of their own, if it is set."""
        self._requests = requests
        self._loader = loader
        self._routes = routes
        self._sources = [source for source in sources if source.name in brokers]
        self._bindings = bindings
        self._recheck_sessions = recheck_sessions
        self._counters = counters
        self._brokers = brokers
        self._override = override
        self._policy = policy
        self._running: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._running = asyncio.create_task(self._run(), name=self.name)

    async def drain(self, seconds: float) -> None:
        await self.stop()

    async def stop(self) -> None:
        task, self._running = self._running, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            await self._requests.next()
            await self()

    async def __call__(self) -> None:
        """Reloads the routes once. Errors are logged, never raised."""
        try:
            table, version, ignored_files = await self._load()
            await self._replace(table, version)
            warn_of_ignored_files(ignored_files)
        except (RoutesInvalid, StoreUnavailable) as error:
            self._counters.reloads["refused"] += 1
            log.warning("routes_reload_refused", version=self._routes.version, error=str(error))
        except Exception:
            self._counters.reloads["failed"] += 1
            log.exception("routes_reload_failed", version=self._routes.version)

    async def _load(self) -> tuple[RouteTable, str, tuple[str, ...]]:
        """Returns the routes of the files, their version, and the files that were not read. Raises RoutesInvalid."""
        previous: Loaded | None = None
        for _ in range(self._policy.max_reads):
            with _short_lock_waits():
                loaded = await asyncio.to_thread(self._read)
            if loaded.equals(previous):
                break
            previous = loaded
            await asyncio.sleep(self._policy.settle_s)
        else:
            raise RoutesInvalid("the routes files change while they are read: reload when they are complete")
        if loaded.table is None:
            raise RoutesInvalid(loaded.fault)
        reasons = reasons_to_restart(self._routes.table, loaded.table, self._brokers, self._override)
        if reasons:
            raise RoutesInvalid(f"{'; '.join(reasons)}: restart the node to apply this")
        return loaded.table, loaded.version, loaded.ignored_files

    def _read(self) -> Loaded:
        try:
            table = self._loader.load()
            return Loaded(version_of(table), table=table, ignored_files=self._loader.ignored_files())
        except RoutesInvalid as error:
            return Loaded(fault=str(error))

    async def _replace(self, table: RouteTable, version: str) -> None:
        previous, patterns = self._routes.version, {}
        with _short_lock_waits():
            changed = await asyncio.to_thread(changed_routes, self._routes.table, table)
        added: list[str] = []
        removed: list[str] = []
        for source in self._sources:
            more, fewer = changed_sources(self._routes.table, table, source.name, self._override)
            if more or fewer:
                patterns[source] = table.sources(source.name, self._override)
            added += more
            removed += fewer
        for source, wanted in patterns.items():
            await self._bindings.claim(source, wanted)
        # No `await` from here to the log line: see EventSource.change_patterns and KeepBindings.claim.
        self._routes.replace(table, version)
        for source, wanted in patterns.items():
            source.change_patterns(wanted)
        self._counters.reloads["reloaded"] += 1
        log.info(
            "routes_reloaded",
            version=version,
            previous_version=previous,
            added=added,
            removed=removed,
            changed_routes=changed[:MAX_CHANGED_ROUTES],
        )
        for source in patterns:
            await self._bindings.bind_added(source)
        if ended := await self._recheck_sessions():
            log.info("sessions_replaced", sessions=ended)


def warn_of_ignored_files(files: Iterable[str]) -> None:
    """Logs a warning for each of the files in folders of routes files that are not read."""
    for file in files:
        log.warning("routes_file_ignored", file=file, advice="remove it, or rename it to end with .toml")


@contextmanager
def _short_lock_waits() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(LOCK_WAIT_S)
    try:
        yield
    finally:
        sys.setswitchinterval(before)
