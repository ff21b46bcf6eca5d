"""Start and shutdown of Herald."""

import asyncio
import os
import signal
import socket
import subprocess
import time
from contextlib import suppress
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed

from tests.support.clients import closed, connect, frame, never_reading, publish, stream, token
from tests.support.server import SECRET, Server
from tests.support.service import free_port


@pytest.mark.parametrize(("how", "group"), [(signal.SIGTERM, False), (signal.SIGINT, True)])
async def test_every_client_is_notified_of_a_shutdown(start_server: Any, how: signal.Signals, group: bool) -> None:
    server = start_server({"HERALD_DRAIN_SECONDS": "3"})
    plain = [await connect(server.ws_url + "/ws/notifications") for _ in range(20)]
    v1 = await connect(server.ws_url + "/ws?user_id=u", subprotocols=["herald.v1"])
    await v1.send('{"resume": {}}')
    await frame(v1)
    async with stream(server) as events, httpx.AsyncClient(base_url=server.url) as client:
        await events.next()
        began = time.monotonic()
        stopping = asyncio.create_task(asyncio.to_thread(server.stop, how, group))
        farewell = await frame(v1)
        assert (farewell["kind"], farewell["code"]) == ("bye", 1012)
        assert 0 < farewell["reconnect_in"] < 10
        assert await closed(v1) == 1012
        assert [await closed(one) for one in plain] == [1012] * 20
        with pytest.raises(StopAsyncIteration):
            await events.next()
        assert await stopping == 0
        assert time.monotonic() - began < 3 + 5
        with pytest.raises(httpx.ConnectError):
            await client.get("/health/live")


def test_sighup_without_a_terminal_is_ignored(start_server: Any) -> None:
    server = start_server()
    assert server.process is not None
    server.process.send_signal(signal.SIGHUP)
    while "sighup_ignored" not in server.log:
        time.sleep(0.05)
    server.wait_for("/health/ready")
    assert server.stop() == 0


def test_closing_the_terminal_stops_the_server() -> None:
    """A remaining server would keep its port from the next one."""
    terminal, own = os.openpty()
    server = Server()
    server.launch(terminal=own)
    os.close(own)
    server.wait_for("/health/ready")
    os.close(terminal)
    assert server.process is not None
    assert server.process.wait(timeout=60) == 0
    assert "node_draining" in server.log


async def test_readiness_fails_before_clients_are_closed(start_server: Any) -> None:
    server = start_server({"HERALD_DRAIN_SECONDS": "4"})
    lazy = [await connect(server.ws_url + "/ws/notifications") for _ in range(100)]
    stopping = asyncio.create_task(asyncio.to_thread(server.stop))
    async with httpx.AsyncClient(base_url=server.url) as client:
        await asyncio.sleep(0.3)
        assert (await client.get("/health/ready")).status_code == 503
        assert (await client.get("/health/live")).status_code == 200
        refused = await client.get("/events/stream")
        assert (refused.status_code, refused.json()["code"]) == (503, "draining")
    assert {await closed(one) for one in lazy} == {1012}
    assert await stopping == 0


async def test_a_client_that_reads_nothing_does_not_delay_the_shutdown(start_server: Any) -> None:
    server = start_server({"HERALD_DRAIN_SECONDS": "2", "HERALD_PROFILE": "signals,products"})
    writers = [await never_reading(server, path) for path in ("/ws/notifications", "/events/stream")]
    for number in range(100):
        await publish(server, "trading_signals", f"{number} " + "x" * 100_000)
        await publish(server, "product-events", {"id": str(number), "text": "x" * 100_000})
    began = time.monotonic()
    assert await asyncio.to_thread(server.stop) == 0
    assert time.monotonic() - began < 2 + 5
    for writer in writers:
        writer.close()


async def test_events_accepted_during_shutdown_are_delivered(start_server: Any) -> None:
    server = start_server({"HERALD_DRAIN_SECONDS": "3"})
    async with connect(server.ws_url + "/ws/notifications") as client:
        received: list[str] = []

        async def read() -> None:
            with suppress(ConnectionClosed):
                while True:
                    received.append(str(await client.recv()))

        reading = asyncio.create_task(read())
        accepted: list[str] = []

        async def write() -> None:
            for number in range(10_000):
                try:
                    await publish(server, "trading_signals", str(number))
                except (AssertionError, httpx.HTTPError):
                    return
                accepted.append(str(number))

        writing = asyncio.create_task(write())
        await asyncio.sleep(0.5)
        assert await asyncio.to_thread(server.stop) == 0
        await asyncio.wait({reading, writing}, timeout=10)
        assert accepted
        assert received[: len(accepted)] == accepted


def herald(env: dict[str, str], *command: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("HERALD_")}
    program = str(Server()._command[0])
    return subprocess.run(
        [program, *command], env={**clean, **env}, capture_output=True, text=True, timeout=20, check=False
    )


@pytest.mark.parametrize(
    ("env", "says"),
    [
        ({}, "HERALD_AUTH"),
        ({"HERALD_AUTH": "open", "RABBITMQ_HOST": "rabbit:5672"}, "RABBITMQ_HOST"),
        ({"HERALD_AUTH": "open", "HERALD_SMTP_USER": "me"}, "HERALD_SMTP_PASSWORD"),
        ({"HERALD_AUTH": "opne"}, "HERALD_AUTH"),
        ({"HERALD_JWT_SECRT": SECRET}, "HERALD_JWT_SECRET"),
        ({"HERALD_JWT_SECRET": "short"}, "HERALD_JWT_SECRET"),
        ({"HERALD_JWT_SECRET": SECRET, "HERALD_PROFILE": "ordres"}, "orders"),
        ({"HERALD_JWT_SECRET": SECRET, "HERALD_ROUTES": "/nowhere.toml"}, "/nowhere.toml"),
    ],
)
def test_an_invalid_setting_refuses_the_start_without_a_traceback(env: dict[str, str], says: str) -> None:
    refused = herald({**env, "HERALD_PORT": str(free_port())}, "serve")
    assert refused.returncode == 2
    assert says in refused.stderr
    assert "Traceback" not in refused.stderr + refused.stdout
    assert "short" not in refused.stderr.replace("shorter", "").replace("too short", "")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("profile = 'x'\n[[routes]]\nsource = 'a'\nfeed = 'f'\nenvelop = 'raw'\n[feeds.f]\n", "envelop"),
        ("profile = 'x'\n[[routes]]\nsource = 'a'\nfeed = 'f'\nenvelope = 'box'\n[feeds.f]\n", "envelope"),
        ("profile = 'x'\n[[routes]]\nsource = 'a..b'\nfeed = 'f'\n[feeds.f]\n", "source"),
        ("profile = 'x'\n[[routes]]\nsource = 5\nfeed = 'f'\n[feeds.f]\n", "source"),
        ("profile = 'x'\n[[routes]]\nsource = 'a'\nfeed = 'g'\n[feeds.f]\n", "feed"),
        ("profile = ", "TOML"),
    ],
)
def test_an_error_in_a_routes_file_names_the_file_and_field(tmp_path: Any, text: str, says: str) -> None:
    file = tmp_path / "routes.toml"
    file.write_text(text)
    for command in (("serve",), ("routes", "check", str(file))):
        env = {"HERALD_AUTH": "open", "HERALD_BROKER": "memory", "HERALD_ROUTES": str(file)}
        refused = herald(env if command == ("serve",) else {}, *command)
        assert refused.returncode != 0
        assert "routes.toml" in refused.stderr
        assert says in refused.stderr
        assert "Traceback" not in refused.stderr


def test_a_port_in_use_refuses_the_start(start_server: Any) -> None:
    server = start_server()
    again = herald({"HERALD_PORT": str(server.port)}, "dev")
    assert again.returncode == 2
    assert str(server.port) in again.stderr
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        assert "in use" in herald({"HERALD_PORT": str(port)}, "dev").stderr


async def test_logs_contain_no_secrets(start_server: Any) -> None:
    env = {"HERALD_JWT_SECRET": SECRET, "HERALD_BROKER": "memory", "LOG_LEVEL": "DEBUG"}
    server = start_server(env, ("serve",))
    shown = token("u")
    async with connect(f"{server.ws_url}/ws?user_id=u&jwt={shown}"), stream(server, f"?token={shown}") as events:
        await events.next()
    async with httpx.AsyncClient(base_url=server.url) as client:
        await client.get(f"/health?jwt={shown}")
        await client.get(f"/nope?jwt={shown}", headers={"authorization": f"Bearer {shown}"})
    assert server.stop() == 0
    assert shown not in server.log
    assert SECRET not in server.log
