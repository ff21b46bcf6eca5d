"""nginx for tests: Debian's, with the configuration that Herald ships."""

import re
import shutil
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from tests.support.service import Service, free_port

SHIPPED: Final = Path(__file__).parents[2] / "deploy" / "nginx.conf"


def missing() -> str | None:
    """What a real nginx lacks on this machine, in words; None when it can run."""
    return None if shutil.which("nginx") else "no nginx: install Debian's nginx-light"


class Nginx(Service):
    """The proxy of deploy/nginx.conf in front of nodes at some ports. Changed are only addresses, ports, folders and
    limits of the machine, what is too new for Debian's nginx, and what `but` says. Each must stand in the file.

    `log` has a line a request, `words` what nginx itself had to say.
    """

    def __init__(self, directory: Path, nodes: Sequence[int], but: Mapping[str, str] | None = None) -> None:
        super().__init__(directory / "words.txt")
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.ws_url = f"ws://127.0.0.1:{self.port}"
        self._directory = directory
        text = SHIPPED.read_text()
        changes = {
            # 127.0.0.0/8 is all loopback: clients of several addresses can come.
            "listen 8080": f"listen 127.0.0.1:{self.port}",
            "/tmp/": f"{directory}/",
            "/dev/stdout": f"{directory}/log.txt",
            "worker_processes auto;": "worker_processes 1;",
            "worker_rlimit_nofile 65536;": "",
            "worker_connections 32768;": "worker_connections 512;",
            " resolve ": " ",
            **{f"herald-{number}:8000": f"127.0.0.1:{port}" for number, port in enumerate(nodes, 1)},
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
        # In the foreground, so that what is started is what gets the signals. Where root tests, the workers have to be
        # root as well, or pytest's folders are closed to them.
        self._spawn(["nginx", "-c", self._directory / "nginx.conf", "-g", "daemon off; user root;"])

    def _answers(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0
