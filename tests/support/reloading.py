"""Reloading the routes of real servers."""

import signal
import time
from pathlib import Path

import httpx

from tests.support.server import Server

PATIENCE = 30.0


def routes_version(server: Server) -> str:
    version: str = httpx.get(f"{server.url}/health", timeout=10).json()["routes_version"]
    return version


def hang_up(server: Server) -> None:
    assert server.process is not None
    server.process.send_signal(signal.SIGHUP)


def wait_for_log(server: Server, key: str, times: int) -> None:
    """Wait until the log has this many lines of an event."""
    deadline = time.monotonic() + PATIENCE
    while server.log.count(key) < times:
        assert time.monotonic() < deadline, f"{key} is logged {server.log.count(key)} times:\n{server.log[-5_000:]}"
        time.sleep(0.01)


def reload(server: Server, file: Path, routes: str) -> None:
    """Write the routes and reload them. Returns once they are in force."""
    reloads = server.log.count("routes_reloaded")
    file.write_text(routes)
    hang_up(server)
    wait_for_log(server, "routes_reloaded", reloads + 1)


def refuse(server: Server, file: Path, routes: str) -> str:
    """Write the routes, which must be refused. Returns the last line of the log."""
    refusals = server.log.count("routes_reload_refused")
    file.write_text(routes)
    hang_up(server)
    wait_for_log(server, "routes_reload_refused", refusals + 1)
    return next(line for line in reversed(server.log.splitlines()) if "routes_reload_refused" in line)
