"""Starts processes of `herald` by forking a process that has already imported its modules, because importing takes most
of the time of a start.

A process runs the same function as the installed command, with its own environment, session, output and database. The
parent process has read no settings, opened only its socket, and started no thread.
"""

import importlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from typing import Final

# Modules that a start imports only if a setting needs them.
_LATE: Final = (
    "entrypoints.server",
    "aiosqlite",
    "asyncpg",
    "sqlalchemy.dialects.sqlite.aiosqlite",
    "sqlalchemy.dialects.postgresql.asyncpg",
    "alembic.command",
    "alembic.runtime.migration",
    "aiokafka",
    "redis.asyncio",
)

_MAX_REQUEST_BYTES: Final = 200_000


class Forked:
    """A process with the methods of `subprocess.Popen` that tests use."""

    def __init__(self, command: Sequence[str], env: Mapping[str, str], output: int) -> None:
        theirs, ours = socket.socketpair()
        with theirs:
            request = json.dumps([list(command), dict(env), os.getcwd()]).encode()
            assert len(request) < _MAX_REQUEST_BYTES
            socket.send_fds(_parent(), [request], [output, theirs.fileno()])
        self._status = ours.makefile("rb")
        ours.close()
        self.pid = int(self._status.readline())
        self.returncode: int | None = None

    def poll(self) -> int | None:
        with suppress(subprocess.TimeoutExpired):
            return self.wait(0)
        return None

    def wait(self, timeout: float | None = None) -> int:
        if self.returncode is None:
            if not select.select([self._status], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(f"herald, process {self.pid}", timeout or 0)
            self.returncode = int(self._status.readline())
            self._status.close()
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


@cache
def _parent() -> socket.socket:
    """Start the parent process, which ends with this process. Returns the socket to it."""
    theirs, ours = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _MAX_REQUEST_BYTES)
    with theirs:
        subprocess.Popen(
            [sys.executable, "-m", "tests.support.preloaded", str(theirs.fileno())],
            env={name: value for name, value in os.environ.items() if not name.startswith("HERALD_")}
            | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path), "PYTHONDONTWRITEBYTECODE": ""},
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
    return ours


def _forked(requests: socket.socket) -> list[str]:
    """Wait for requests, and fork for each. Returns in the forked process, with the command line of the request."""
    while True:
        # Without this, the processes that report would become zombies, because nothing waits for them.
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        request, fds, _, _ = socket.recv_fds(requests, _MAX_REQUEST_BYTES, 2)
        if not request:
            os._exit(0)
        if os.fork() == 0:
            break
        for fd in fds:
            os.close(fd)
    requests.close()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    output, status = fds
    command, env, folder = json.loads(request)
    if pid := os.fork():
        os.close(output)
        _report(pid, status)
    os.close(status)
    os.setsid()
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.close(output)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(env)
    return list(command)


def _report(pid: int, status: int) -> None:
    """Write the id of the process, and its exit code once it has ended."""
    with suppress(BrokenPipeError):
        os.write(status, b"%d\n" % pid)
        _, code = os.waitpid(pid, 0)
        os.write(status, b"%d\n" % os.waitstatus_to_exitcode(code))
    os._exit(0)


if __name__ == "__main__":
    command_line = importlib.import_module("entrypoints.cli.main")
    for name in _LATE:
        importlib.import_module(name)
    sys.argv = _forked(socket.socket(fileno=int(sys.argv[1])))
    command_line.main(prog_name="herald")
