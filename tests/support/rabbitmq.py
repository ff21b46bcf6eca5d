"""RabbitMQ for tests: Debian's, in a separate process that can be killed, frozen and restarted with its data."""

import asyncio
import contextlib
import json
import os
import re
import shutil
import socket
import struct
import subprocess
import uuid
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import aiormq
from aiormq.abc import AbstractChannel, ChannelFrame
from pamqp.commands import Basic
from yarl import URL

from adapters.rabbitmq.settings import RabbitSettings
from adapters.rabbitmq.topology import prepare
from application.ports.bindings import Binding
from tests.support.certificates import Authority
from tests.support.service import PATIENCE, Service, free_ports

# The timeout of a request to the broker in seconds, because a test may kill or freeze it.
ANSWER: Final = 30.0

# Debian's commands on the PATH are not used: they switch to another user with other folders.
SCRIPTS: Final = Path("/usr/lib/rabbitmq/bin")

# The number of publisher confirms awaited together.
AT_ONCE: Final = 500


def missing() -> str | None:
    """Return what a real RabbitMQ lacks on this machine, or None if it can run."""
    for needed in (str(SCRIPTS / "rabbitmq-server"), "erl", "erl_call", "epmd"):
        if not shutil.which(needed):
            return f"no {needed}: install Debian's rabbitmq-server"
    return None


class RealRabbit(Service):
    """One node on free loopback ports with its own port mapper and cookie, so that no other node is affected."""

    def __init__(self, directory: Path) -> None:
        self.port, self.tls_port, self._mapper_port, distribution_port = free_ports(4)
        authority = Authority(directory)
        self.cafile = authority.cafile
        authority.server()  # writes local.pem
        super().__init__(directory / "log.txt")
        self._mapper: subprocess.Popen[bytes] | None = None
        (directory / "plugins").write_text("[].")
        (directory / "rabbitmq.conf").write_text(
            f"listeners.ssl.default = 127.0.0.1:{self.tls_port}\n"
            f"ssl_options.certfile = {directory}/local.pem\n"
            f"ssl_options.keyfile = {directory}/local.pem\n"
        )
        self._env = {
            **os.environ,
            "HOME": str(directory),  # the folder that contains the cookie
            "ERL_EPMD_PORT": str(self._mapper_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": f"herald-{uuid.uuid4().hex[:8]}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(distribution_port),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
            "RABBITMQ_MNESIA_BASE": str(directory / "data"),
            "RABBITMQ_LOG_BASE": str(directory / "logs"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(directory / "plugins"),
            "RABBITMQ_CONFIG_FILE": str(directory / "rabbitmq.conf"),
            "RABBITMQ_CONF_ENV_FILE": os.devnull,
            # The script ends with `exec`, so signals reach the node itself.
            "RUNNING_UNDER_SYSTEMD": "true",
        }

    def launch(self) -> None:
        if self._mapper is None:
            # Started here, because a node that finds no port mapper starts one that outlives it.
            self._mapper = subprocess.Popen(["epmd", "-port", str(self._mapper_port)], env=self._env)
        self._spawn([SCRIPTS / "rabbitmq-server"], env=self._env)

    def discard(self) -> None:
        """End the node permanently, with its port mapper."""
        self.kill9()
        if self._mapper is not None:
            self._mapper.terminate()
            self._mapper.wait(PATIENCE)
            self._mapper = None

    async def evaluate(self, expression: str) -> str:
        """Evaluate an Erlang expression in the node. Returns its value as Erlang prints it. Takes milliseconds;
        rabbitmqctl would take 1 to 2 s."""
        code = f'lists:flatten(io_lib:format("~0p", [begin {expression} end])).\n'
        command = ["erl_call", "-sname", self._env["RABBITMQ_NODENAME"], "-timeout", "30", "-e"]
        process = await asyncio.create_subprocess_exec(*command, env=self._env, stdin=PIPE, stdout=PIPE, stderr=PIPE)
        answer, errors = await process.communicate(code.encode())
        found = re.fullmatch(r'\{ok, "(.*)"\}\s*', answer.decode(), re.DOTALL)
        assert found, answer + errors
        return found[1]

    async def add_user(self, name: str, password: str) -> None:
        await self.evaluate(f"rabbit_auth_backend_internal:add_user({term(name)}, {term(password)}, <<>>)")

    async def set_permissions(self, user: str, configure: str, *, vhost: str = "/") -> None:
        """Allow a user to write and read everything, and to configure what matches the expression."""
        rights = f'{term(configure)}, <<".*">>, <<".*">>'
        act = "rabbit_auth_backend_internal:set_permissions"
        await self.evaluate(f"{act}({term(user)}, {term(vhost)}, {rights}, <<>>)")

    async def keys(self, queue: str) -> set[str]:
        """Return the routing keys bound to the queue from any exchange, without the binding of the default exchange."""
        destination = f'rabbit_misc:r(<<"/">>, queue, {term(queue)})'
        listed = f"rabbit_binding:list_for_destination({destination})"
        keys = json.loads(await self.evaluate(f"[binary_to_list(element(3, One)) || One <- {listed}]"))
        return set(keys) - {queue}

    def settings(self, queue: str, **more: Any) -> RabbitSettings:
        """Return settings of a queue on this node, with an exchange of the same name."""
        return RabbitSettings(**({"host": "127.0.0.1", "port": self.port, "exchange": queue, "queue": queue} | more))

    @contextlib.asynccontextmanager
    async def channel(self, vhost: str = "/") -> AsyncIterator[AbstractChannel]:
        """Open a channel with publisher confirms: publishing returns after the broker has the message."""
        url = URL.build(scheme="amqp", host="127.0.0.1", port=self.port, user="guest", password="guest")
        connection = aiormq.Connection(url)
        connection.vhost = vhost
        try:
            async with asyncio.timeout(ANSWER):
                await connection.connect()
                channel = await connection.channel()
            yield channel
        finally:
            async with asyncio.timeout(ANSWER):
                await connection.close()

    async def ensure(self, settings: RabbitSettings, patterns: Sequence[str]) -> None:
        """Declare exchange, queue and bindings as the first node does."""
        async with self.channel(settings.vhost) as channel:
            await prepare(channel.connection, settings, [Binding(settings.exchange, key) for key in patterns])

    async def publish(
        self,
        exchange: str,
        routing_key: str,
        bodies: Sequence[bytes],
        *,
        timestamp: datetime | None = None,
        headers: Mapping[str, Any] | None = None,
        vhost: str = "/",
    ) -> None:
        """Publish persistent messages in order, each with a message id. Returns after all are confirmed. The default
        time is now."""
        async with asyncio.timeout(PATIENCE), self.channel(vhost) as channel:
            for start in range(0, len(bodies), AT_ONCE):
                publishing = [
                    channel.basic_publish(
                        body,
                        exchange=exchange,
                        routing_key=routing_key,
                        properties=Basic.Properties(
                            delivery_mode=2,
                            message_id=uuid.uuid4().hex,
                            timestamp=timestamp or datetime.now(UTC),
                            headers=dict(headers) if headers else None,
                        ),
                    )
                    for body in bodies[start : start + AT_ONCE]
                ]
                await asyncio.gather(*publishing)

    async def publish_raw(self, exchange: str, routing_key: bytes, properties: bytes, body: bytes) -> None:
        """Publish like a producer less strict than this client. `properties` are property flags and values in wire
        format."""
        method = struct.pack(">HHH", 60, 40, 0) + _short(exchange.encode()) + _short(routing_key) + b"\0"
        header = struct.pack(">HHQ", 60, 0, len(body)) + properties
        async with self.channel() as channel:
            payload = b"".join(
                struct.pack(">BHI", kind, channel.number, len(part)) + part + b"\xce"
                for kind, part in ((1, method), (2, header), (3, body))
            )
            own: Any = channel  # its queue is not in the interface
            await own.write_queue.put(ChannelFrame(payload, should_close=False))
            # RabbitMQ processes a channel in order: its response means that it has the message.
            await channel.exchange_declare(exchange, passive=True)

    async def depth(self, queue: str) -> tuple[int, int]:
        """Return the number of ready messages and the number of consumers."""
        async with self.channel() as channel:
            found = await channel.queue_declare(queue, passive=True)
            return found.message_count or 0, found.consumer_count or 0

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as probe:
                probe.sendall(b"AMQP\x00\x00\x09\x01")
                return bool(probe.recv(1))
        except OSError:
            return False


def term(text: str) -> str:
    """Write text as an Erlang binary."""
    return f"<<{','.join(map(str, text.encode()))}>>"


def _short(text: bytes) -> bytes:
    """Encode an AMQP short string."""
    return len(text).to_bytes() + text
