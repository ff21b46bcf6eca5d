"""Debian's PgBouncer for tests, in front of a PostgreSQL of the tests."""

import os
import shutil
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tests.support.service import Service, free_port

# Debian installs it here, which is not on every PATH.
PROGRAM: Final = shutil.which("pgbouncer") or "/usr/sbin/pgbouncer"


def missing() -> str | None:
    """Return what a real PgBouncer lacks on this machine, or None if it can run."""
    return None if Path(PROGRAM).exists() else "no pgbouncer: install Debian's pgbouncer"


class PgBouncer(Service):
    """One pooler on a free loopback port, in front of all databases of the PostgreSQL at `postgres_port`. It opens
    fewer connections per database than a node does to the pooler, and refuses the parameters that it refuses by
    default."""

    def __init__(self, directory: Path, postgres_port: int, mode: str, but: Sequence[str] = ()) -> None:
        super().__init__(directory / "log.txt")
        self.port = free_port()
        users = directory / "users.txt"
        users.write_text('"postgres" ""\n')
        self._file = directory / "pgbouncer.ini"
        settings = [
            "[databases]",
            f"* = host=127.0.0.1 port={postgres_port}",
            "[pgbouncer]",
            "listen_addr = 127.0.0.1",
            f"listen_port = {self.port}",
            "unix_socket_dir =",
            "auth_type = trust",
            f"auth_file = {users}",
            f"pool_mode = {mode}",
            f"default_pool_size = {20 if mode == 'session' else 3}",
            *but,
        ]
        self._file.write_text("\n".join(settings) + "\n")
        for path in (directory, users, self._file):
            path.chmod(0o755)

    def launch(self) -> None:
        # PgBouncer refuses to run as root.
        user = ["-u", "nobody"] if os.geteuid() == 0 else []
        self._spawn([PROGRAM, *user, str(self._file)])

    def url(self, database_url: str) -> str:
        """Return the URL of a database through the pooler."""
        return f"postgresql+asyncpg://postgres@127.0.0.1:{self.port}/{database_url.rsplit('/', 1)[1]}"

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1):
                return True
        except OSError:
            return False
