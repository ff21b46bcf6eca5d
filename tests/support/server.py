"""The real Herald in a separate process, as a user starts it."""

import http.client
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from tests.support.preloaded import Forked
from tests.support.service import free_port
from tests.support.sqlite import create_database

# The timeout of a start, which takes less than 2 s on two idle cores.
PATIENCE: Final = 30.0

SECRET: Final = "a secret for tests, as long as RFC 7518 wants"


# The listener at which tests connect their WebSockets: `main`, or `second` for that of HERALD_SOCKET_PORT. The fixture
# `listener` of the end-to-end tests sets it for a module.
LISTENER_OF_TESTS = os.environ.get("TEST_LISTENER", "main")


class Server:
    """One `herald dev` or `herald serve` on a free port, with a folder of its own: `database` is its database, whose
    tables exist already, unless `env` sets DATABASE_URL; `mails` has its mails unless `env` sets SMTP_HOST. `prefix` is
    a command that starts it, such as `prlimit`. Its output is in `log`.

    With a prefix or a terminal the installed command is executed, else a process that has imported its modules is
    forked, which starts in a fraction of the time (see `preloaded`)."""

    def __init__(
        self,
        env: Mapping[str, str] | None = None,
        command: Sequence[str] = ("dev",),
        port: int | None = None,
        prefix: Sequence[str] = (),
    ):
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        second = {"HERALD_SOCKET_PORT": str(free_port())} if LISTENER_OF_TESTS == "second" else {}
        self.socket_port = int(second.get("HERALD_SOCKET_PORT", self.port))
        self.ws_url = f"ws://127.0.0.1:{self.socket_port}"
        # For clients that know only the URL of the server.
        self.main_ws_url = self.url.replace("http", "ws", 1)
        self._command = [*prefix, str(Path(sys.executable).with_name("herald")), *command]
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("HERALD_")}
        own = Path(tempfile.mkdtemp(prefix="herald-"))
        self.database, self.mails = own / "herald.db", own / "mail"
        self._env = {
            **inherited,
            "HERALD_PORT": str(self.port),
            "HERALD_HOST": "127.0.0.1",
            "DATABASE_URL": f"sqlite+aiosqlite:///{self.database}",
            "HERALD_MAIL_FOLDER": str(self.mails),
            # Writes bytecode, because a start without it takes four times as long.
            "PYTHONDONTWRITEBYTECODE": "",
            **second,
            **(env or {}),
        }
        if "DATABASE_URL" not in (env or {}):
            create_database(self.database)
        self._output = own / "log.txt"
        self._has_prefix = bool(prefix)
        self.process: subprocess.Popen[bytes] | Forked | None = None

    def start(self, ready: bool = False) -> "Server":
        """Start the process. Returns once it answers, or with `ready`, once it is ready."""
        self.launch()
        self.wait_for("/health/ready" if ready else "/health/live")
        return self

    def launch(self, terminal: int | None = None) -> None:
        """Start the process and return immediately. It leads its own process group, as in a terminal. `terminal` is the
        file descriptor of a terminal, which becomes its controlling terminal and standard input."""
        takes_terminal = () if terminal is None else ("setsid", "--ctty")
        with self._output.open("ab") as output:
            if terminal is None and not self._has_prefix:
                self.process = Forked(self._command, self._env, output.fileno())
                return
            self.process = subprocess.Popen(
                [*takes_terminal, *self._command],
                env=self._env,
                stdin=terminal,
                stdout=output,
                stderr=output,
                start_new_session=terminal is None,
            )

    def wait_for(self, path: str, status: int = 200) -> None:
        deadline = time.monotonic() + PATIENCE
        while (answer := self._get(path)) != status:
            assert self.process is not None
            assert self.process.poll() is None, f"Herald ended by itself:\n{self.log}"
            assert time.monotonic() < deadline, f"{path} answers {answer}:\n{self.log}"
            time.sleep(0.02)

    def _get(self, path: str) -> int | Exception:
        """Return the status of the response, or the error."""
        # httpx is not used: creating its client takes longer than the request, and this is called often.
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", path)
            return connection.getresponse().status
        except (OSError, http.client.HTTPException) as error:
            return error
        finally:
            connection.close()

    def stop(self, how: signal.Signals = signal.SIGTERM, group: bool = False) -> int:
        """Send the signal (to the whole process group, as Ctrl-C in a terminal does). Returns the exit code."""
        if self.process is None:
            return 0
        process, self.process = self.process, None
        if process.poll() is None:
            os.killpg(process.pid, how) if group else process.send_signal(how)
        return process.wait(PATIENCE)

    def kill(self) -> None:
        self.stop(signal.SIGKILL)

    @property
    def log(self) -> str:
        return self._output.read_text()
