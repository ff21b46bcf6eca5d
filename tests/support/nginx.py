"""Debian's nginx for tests, with the configuration that Herald ships."""

import re
import shutil
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from tests.support.service import Service, free_port

SHIPPED: Final = Path(__file__).parents[2] / "deploy" / "nginx.conf"


def missing() -> str | None:
    """Return what a real nginx lacks on this machine, or None if it can run."""
    return None if shutil.which("nginx") else "no nginx: install Debian's nginx-light"


class Nginx(Service):
    """The proxy of deploy/nginx.conf in front of nodes on these ports; `sockets` are their ports for WebSockets, if
    they have others. Only addresses, ports, folders, machine limits, directives too new for Debian's nginx, and the
    replacements in `but` are changed. Each replaced text must occur in the file.

    `log` has one line per request, `words` is the error log of nginx.
    """

    def __init__(
        self,
        directory: Path,
        nodes: Sequence[int],
        but: Mapping[str, str] | None = None,
        sockets: Sequence[int] | None = None,
    ) -> None:
        super().__init__(directory / "words.txt")
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.ws_url = f"ws://127.0.0.1:{self.port}"
        self._directory = directory
        text = SHIPPED.read_text()
        changes = {
            # All addresses in 127.0.0.0/8 are loopback, so that clients can have different addresses.
            "listen 8080": f"listen 127.0.0.1:{self.port}",
            "/tmp/": f"{directory}/",
            "/dev/stdout": f"{directory}/log.txt",
            "worker_processes auto;": "worker_processes 1;",
            "worker_rlimit_nofile 65536;": "",
            "worker_connections 32768;": "worker_connections 512;",
            " resolve ": " ",
            **{f"herald-{number}:8000": f"127.0.0.1:{port}" for number, port in enumerate(nodes, 1)},
            **{f"herald-{number}:8001": f"127.0.0.1:{port}" for number, port in enumerate(sockets or nodes, 1)},
            **(but or {}),
        }
        for old, new in changes.items():
            assert old in text, f"{SHIPPED} has no {old!r} any more"
            text = text.replace(old, new)
        assert not re.search("herald-[0-9]:", text), "there are more nodes in it than these"
        (directory / "nginx.conf").write_text(text)

    @property
    def log(self) -> str:
        return (self._directory / "log.txt").read_text()

    @property
    def words(self) -> str:
        return self._log.read_text()

    def launch(self) -> None:
        # In the foreground, so that signals reach nginx itself. If root runs the tests, the workers run as root too:
        # other users cannot open pytest's folders.
        self._spawn(["nginx", "-c", self._directory / "nginx.conf", "-g", "daemon off; user root;"])

    def _answers(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0
