"""Redis for tests: Debian's, in a separate process that can be killed, frozen and restarted empty."""

import contextlib
import shutil
import socket
import uuid
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any, Final

from redis.asyncio import Redis

from adapters.redis.backplane import RedisBackplane
from adapters.redis.connections import Connections
from adapters.redis.settings import RedisSettings
from application.counters import Counters
from application.ports.store import Store
from domain.streams import Entry, SignOut
from tests.support.certificates import Authority
from tests.support.service import Service, free_ports

SERVER: Final = "redis-server"


def missing() -> str | None:
    """Return what a real Redis lacks on this machine, or None if it can run."""
    return None if shutil.which(SERVER) else f"no {SERVER}: install Debian's redis-server"


class RealRedis(Service):
    """One server on free loopback ports, one of them for TLS, and on a socket in its folder. It persists nothing, so it
    restarts empty and with this configuration."""

    def __init__(self, directory: Path) -> None:
        self.port, self.tls_port = free_ports(2)
        self.socket = directory / "socket"
        self._configuration = directory / "redis.conf"
        authority = Authority(directory)
        self.cafile = authority.cafile
        pem = authority.write()
        super().__init__(directory / "log.txt")
        self._configuration.write_text(
            f"bind 127.0.0.1\nport {self.port}\ntls-port {self.tls_port}\nunixsocket {self.socket}\n"
            f"tls-cert-file {pem}\ntls-key-file {pem}\ntls-ca-cert-file {self.cafile}\ntls-auth-clients no\n"
            f'dir {directory}\nsave ""\n'
            "user herald on >s3cret ~* &* +@all\n"
        )

    @property
    def url(self) -> str:
        """Return a value for REDIS_URL."""
        return f"redis://127.0.0.1:{self.port}"

    def launch(self) -> None:
        self._spawn([SERVER, self._configuration])

    def settings(self, prefix: str, **more: Any) -> RedisSettings:
        """Return settings, by default over TCP for the user without a password."""
        return RedisSettings(**({"url": self.url, "prefix": prefix} | more))

    async def ask(self, *command: Any) -> Any:
        """Run a command as operator. Returns the response."""
        async with self._operator() as client:
            return await client.execute_command(*command)

    @contextlib.asynccontextmanager
    async def configured(self, **config: str) -> AsyncIterator[None]:
        """Change settings by CONFIG SET until the end of the block. Underscores stand for hyphens."""
        wanted = {name.replace("_", "-"): value for name, value in config.items()}
        # One connection for both changes: the server may refuse new ones in between.
        async with self._operator() as client:
            before = {name: (await client.config_get(name))[name] for name in wanted}
            for name, value in wanted.items():
                await client.config_set(name, value)
            try:
                yield
            finally:
                for name, value in before.items():
                    await client.config_set(name, value)

    async def clients(self, kind: str) -> list[str]:
        """Return the ids of Herald's connections of type `pubsub` or `normal`."""
        lines = (await self.ask("CLIENT", "LIST", "TYPE", kind)).decode().splitlines()
        listed = [dict(field.split("=", 1) for field in line.split(" ")) for line in lines]
        return [one["id"] for one in listed if one["name"] == "herald"]

    async def cut(self, kind: str) -> int:
        """Kill Herald's connections of one type. Returns their number."""
        return sum([await self.ask("CLIENT", "KILL", "ID", id) for id in await self.clients(kind)])

    def _operator(self) -> Redis:
        return Redis(port=self.port, protocol=2)

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as probe:
                probe.sendall(b"PING\r\n")
                return probe.recv(5) == b"+PONG"
        except OSError:
            return False


class Deaf:
    """A listener that ignores everything, for tests that only need to know whether Redis is available."""

    def arrived(self, entries: Sequence[Entry]) -> None: ...

    def signed_out(self, sign_outs: Sequence[SignOut]) -> None: ...


@contextlib.asynccontextmanager
async def connected(
    settings: RedisSettings, store: Store, counters: Counters | None = None
) -> AsyncIterator[tuple[Connections, RedisBackplane]]:
    """Create the connections of a node and its backplane, not yet opened. Both are closed at the end."""
    connections = Connections(settings, store, uuid.uuid4().hex)
    backplane = RedisBackplane(connections, counters or Counters())
    try:
        yield connections, backplane
    finally:
        await backplane.close()
        await connections.close()
