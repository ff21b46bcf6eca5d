"""The server process: runs Granian in an event loop that Herald controls, and shuts down gracefully.

Granian is embedded, so that Herald and not Granian handles signals: clients receive a close reason before their
connections are closed (docs/decisions, decision 3).
"""

import asyncio
import gc
import os
import signal
import sys
from contextlib import suppress
from typing import Final

import structlog
import uvloop
from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.server.embed import Server
from litestar import Litestar

from adapters.sockets.direct_send import with_direct_send
from adapters.telemetry.logs import set_up_logs
from application.operations.node import Node
from application.operations.reload_routes import ReloadRequests, warn_of_ignored_files
from domain.routes import RoutesInvalid
from entrypoints.app import create_app
from entrypoints.cli.welcome import kept_in, welcome
from entrypoints.file_descriptors import BACKLOG, WARN_BELOW, Descriptors, raised_limit, share_out
from entrypoints.listening import listening_address
from entrypoints.prepare_database import StartRefused, prepare
from entrypoints.profiles.routes_files import find_ignored_files
from entrypoints.settings.loader import Settings
from entrypoints.wiring.socket_listener import SocketListeners, check_listener

log = structlog.get_logger(__name__)

# After the clients are closed, Granian and the application have this many seconds to end.
STOP_TIMEOUT_S: Final = 4.0


def run(settings: Settings, *, migrate: bool = False) -> int:
    """Runs Herald until a signal ends it, and returns the exit code of the process. If the start fails, prints the
    reason in one line. With `migrate`, upgrades the schema of the database before the start."""
    set_up_logs(settings.logs.format, settings.logs.level, settings.node.service, settings.node.name)
    try:
        address = listening_address(settings.server.host, settings.server.port, "HERALD_PORT")
        check_listener(settings)
        descriptors = share_out(raised_limit(), settings, BACKLOG)
        app = create_app(settings)
    except (OSError, RoutesInvalid, ValueError) as error:
        print(f"herald: {error}", file=sys.stderr)
        return 2
    _tune_garbage_collection()
    try:
        code: int = uvloop.run(_serve(app, settings, address, descriptors, migrate))
    except StartRefused as error:
        print(f"herald: {error}", file=sys.stderr)
        return error.code
    return code


async def _serve(app: Litestar, settings: Settings, address: str, descriptors: Descriptors, migrate: bool) -> int:
    leave = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, leave.set)
    reload_requests = await app.state.dishka_container.get(ReloadRequests)
    listeners = await app.state.dishka_container.get(SocketListeners)
    loop.add_signal_handler(signal.SIGHUP, _hang_up, leave, reload_requests, listeners, _has_terminal())
    leaving = asyncio.create_task(leave.wait())
    preparing = asyncio.create_task(prepare(settings, migrate=migrate))
    await asyncio.wait({preparing, leaving}, return_when=asyncio.FIRST_COMPLETED)
    if not preparing.done():
        preparing.cancel()
        await asyncio.wait({preparing}, timeout=STOP_TIMEOUT_S)
        return 0
    preparing.result()
    _warn(settings, descriptors)

    server = Server(
        with_direct_send(app),
        address=address,
        port=settings.server.port,
        interface=Interfaces.ASGI,
        http=HTTPModes.auto if settings.server.http2 else HTTPModes.http1,
        # Timeout for the head of a request: the first one, and the next one on a connection that is kept alive.
        http1_settings=HTTP1Settings(header_read_timeout=round(settings.server.keep_alive_seconds * 1000)),
        backlog=BACKLOG,
        backpressure=descriptors.requests,
        # A single thread, so that frames are sent in the order in which they were passed on (see
        # adapters.sockets.send_window).
        runtime_threads=1,
        log_enabled=False,
    )
    serving = asyncio.create_task(server.serve())
    announcing = asyncio.create_task(_announce(settings, address))
    await asyncio.wait({serving, leaving}, return_when=asyncio.FIRST_COMPLETED)
    announcing.cancel()
    if serving.done():
        leaving.cancel()
        log.error("server_failed", exc_info=serving.exception())
        return 1

    # A second signal ends the drain immediately.
    leave.clear()
    hurry = asyncio.create_task(leave.wait())
    node = await app.state.dishka_container.get(Node)
    drain = asyncio.create_task(node.drain(settings.server.drain_seconds))
    await asyncio.wait({drain, hurry}, return_when=asyncio.FIRST_COMPLETED)
    for task in (drain, hurry):
        task.cancel()
    server.stop()
    done, _ = await asyncio.wait({serving}, timeout=STOP_TIMEOUT_S)
    if not done:
        log.warning("connections_left_open", timeout_s=STOP_TIMEOUT_S)
        await node.stop()
    return 0


def _hang_up(
    leave: asyncio.Event, reload_requests: ReloadRequests, listeners: SocketListeners, had_terminal: bool
) -> None:
    """Handles the signal SIGHUP: sets `leave`, which stops Herald, if Herald was started in a terminal that is now
    closed. Otherwise requests a reload of the routes, and reads the certificates of the listeners again."""
    if had_terminal and not _has_terminal():
        leave.set()
        return
    reload_requests.add()
    for listener in listeners.all:
        listener.reload_certificate()


def _has_terminal() -> bool:
    """Returns whether standard input is an open terminal."""
    return os.isatty(0)


def _warn(settings: Settings, descriptors: Descriptors) -> None:
    """Logs a warning for each file in a folder of routes files that is not read, and for each setting or limit that
    suits a trial of Herald but rarely production, such as HERALD_AUTH=open."""
    warn_of_ignored_files(find_ignored_files(settings.routing.routes))
    if descriptors.limit < WARN_BELOW:
        log.warning(
            "few_file_descriptors",
            limit=descriptors.limit,
            requests=descriptors.requests,
            sockets=descriptors.sockets,
            advice="raise ulimit -n",
        )
    if settings.server.auth == "open":
        log.warning("auth_open", advice="set HERALD_AUTH=jwt: any caller may be any user, and may publish")
        if settings.web.origins is None:
            log.warning("origins_unrestricted", origins="*", advice="set HERALD_ORIGINS to the origins of your pages")
    if settings.mode == "serve" and settings.came_from["database.url"] == "default":
        log.warning("database_is_a_file", file=kept_in(settings), advice="set DATABASE_URL")
    if settings.mode == "serve" and settings.smtp.host is None:
        log.warning("mails_written_to_folder", folder=settings.mail.folder, advice="set SMTP_HOST")
    if settings.smtp.user is not None and settings.smtp.security == "none":
        log.warning("smtp_password_unencrypted", advice="set HERALD_SMTP_SECURITY to starttls or tls")


async def _announce(settings: Settings, address: str) -> None:
    """Waits until the server accepts connections, then logs `server_listening`. With `herald dev`, also prints the
    welcome text."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address, address)  # noqa: S104 - compared, not bound
    while True:
        with suppress(OSError):
            _, writer = await asyncio.open_connection(host, settings.server.port)
            writer.close()
            break
        await asyncio.sleep(0.05)
    if settings.mode == "dev":
        print(welcome(settings), flush=True)
    log.info("server_listening", host=settings.server.host, port=settings.server.port, auth=settings.server.auth)


def _tune_garbage_collection() -> None:
    """Makes Python's garbage collector run less often and skip the objects that exist now.

    Pushing one entry to a thousand sessions creates thousands of short-lived objects: with Python's default threshold,
    garbage collection took a third of the CPU time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 10, 10)
