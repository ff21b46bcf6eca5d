"""External services for tests: real servers, each in a separate process on free ports of this machine."""

import contextlib
import os
import signal
import socket
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, Final

# Timeout of a start or stop, in seconds. The slowest service takes 7 s on two idle cores, and longer after a crash,
# because it replays its log.
PATIENCE: Final = 90.0


class Service(ABC):
    """A server that can be stopped, killed, frozen, and restarted on the same port with the same data.

    `GENTLY` is the signal by which an operator stops it.
    """

    GENTLY: ClassVar[signal.Signals] = signal.SIGTERM

    def __init__(self, log: Path) -> None:
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    @abstractmethod
    def launch(self) -> None:
        """Start the process and return immediately."""

    @abstractmethod
    def _answers(self) -> bool:
        """Return whether the server answers. Called repeatedly during a start."""

    def start(self) -> None:
        """Start the server. Returns once it answers."""
        self.launch()
        deadline = time.monotonic() + PATIENCE
        while not self._answers():
            assert time.monotonic() < deadline, self._last_words()
            assert self._process is not None
            if self._process.poll() is not None:
                self._ended()
            time.sleep(0.05)

    @property
    def running(self) -> bool:
        return self._process is not None

    def stop(self) -> None:
        """Stop the server as an operator would."""
        self._end(self.GENTLY)

    def kill9(self) -> None:
        self._end(signal.SIGKILL)

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """Freeze the server until the end of the block: connections stay open and get no response."""
        pids = self.pids
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)

    def _spawn(self, command: Sequence[str | Path], **more: Any) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, **more)

    @property
    def pids(self) -> list[int]:
        """Return the ids of all its processes."""
        assert self._process is not None
        return [self._process.pid]

    def _ended(self) -> None:
        """Called if the process ends during a start."""
        raise AssertionError(self._last_words())

    def _last_words(self) -> str:
        return f"{type(self).__name__} did not start:\n{self._log.read_text()[-4000:]}"

    def _end(self, how: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(PATIENCE)
            self._process = None


def free_ports(count: int) -> list[int]:
    """Return free ports. They are held until all are known, so that they differ."""
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def free_port() -> int:
    (port,) = free_ports(1)
    return port


def real_is_required() -> bool:
    """Return whether a real service that cannot run is a failure, as it is on the machine that checks every change."""
    return os.environ.get("HERALD_REQUIRE_REAL") == "1"
