"""Start and shutdown of Herald."""

import asyncio
import os
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed

from tests.support.clients import closed, connect, frame, never_reading, publish, stream, token
from tests.support.listening import HERALD
from tests.support.reading import until
from tests.support.server import SECRET, Server

# The tests of this module run at both listeners for WebSockets.
LISTENERS = ("main", "second")


@pytest.mark.parametrize(("how", "group"), [(signal.SIGTERM, False), (signal.SIGINT, True)])
async def test_every_client_is_notified_of_a_shutdown(start_server: Any, how: signal.Signals, group: bool) -> None:
    server = start_server({"HERALD_DRAIN_SECONDS": "3"})
    plain = [await connect(server.ws_url + "/ws/notifications") for _ in range(10)]
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
        assert [await closed(one) for one in plain] == [1012] * 10
        with pytest.raises(StopAsyncIteration):
            await events.next()
        assert await stopping == 0
        assert time.monotonic() - began < 3 + 5
        with pytest.raises(httpx.ConnectError):
            await client.get("/health/live")


@pytest.mark.http_only
def test_sighup_without_a_terminal_reloads_the_routes(dev_server: Server) -> None:
    assert dev_server.process is not None
    dev_server.process.send_signal(signal.SIGHUP)
    while "routes_reloaded" not in dev_server.log:
        time.sleep(0.02)
    dev_server.wait_for("/health/ready")


@pytest.mark.http_only
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
    lazy = [await connect(server.ws_url + "/ws/notifications") for _ in range(40)]
    stopping = asyncio.create_task(asyncio.to_thread(server.stop))
    async with httpx.AsyncClient(base_url=server.url) as client:
        while (await client.get("/health/ready")).status_code != 503:
            await asyncio.sleep(0.02)
        assert (await client.get("/health/live")).status_code == 200
        refused = await client.get("/events/stream")
        assert (refused.status_code, refused.json()["code"]) == (503, "draining")
    assert {await closed(one) for one in lazy} == {1012}
    assert await stopping == 0


async def test_a_client_that_reads_nothing_does_not_delay_the_shutdown(start_server: Any) -> None:
    server = start_server({"HERALD_DRAIN_SECONDS": "2", "HERALD_PROFILE": "signals,products"})
    writers = [await never_reading(server, path) for path in ("/ws/notifications", "/events/stream")]
    text = "x" * 500_000
    for number in range(0, 20, 10):
        # Together more than the socket buffers of both ends hold.
        await publish(server, "trading_signals", *(f"{n} {text}" for n in range(number, number + 10)))
        await publish(server, "product-events", *({"id": str(n), "text": text} for n in range(number, number + 10)))
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
        await until(lambda: len(accepted) >= 20)
        assert await asyncio.to_thread(server.stop) == 0
        await asyncio.wait({reading, writing}, timeout=10)
        assert accepted
        assert received[: len(accepted)] == accepted


def herald(env: dict[str, str], *command: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("HERALD_")}
    environ = {**clean, "PYTHONDONTWRITEBYTECODE": "", **env}
    return subprocess.run([HERALD, *command], env=environ, capture_output=True, text=True, timeout=20, check=False)


@pytest.mark.http_only
def test_an_invalid_setting_refuses_the_start_without_a_traceback() -> None:
    refused = herald({"HERALD_JWT_SECRET": "short"}, "serve")
    assert refused.returncode == 2
    assert refused.stdout == ""
    (line,) = refused.stderr.splitlines()
    assert "HERALD_JWT_SECRET" in line
    assert "short" not in line.replace("shorter", "").replace("too short", "")


@pytest.mark.http_only
def test_an_error_in_a_routes_file_names_the_file_and_field(tmp_path: Path) -> None:
    file = tmp_path / "routes.toml"
    file.write_text("profile = 'x'\n[[routes]]\nsource = 'a'\nfeed = 'f'\nenvelop = 'raw'\n[feeds.f]\n")
    refused = herald({"HERALD_AUTH": "open", "HERALD_BROKER": "memory", "HERALD_ROUTES": str(file)}, "serve")
    assert refused.returncode == 2
    assert refused.stdout == ""
    (line,) = refused.stderr.splitlines()
    assert str(file) in line
    assert "envelop" in line


@pytest.mark.http_only
def test_a_port_in_use_refuses_the_start(dev_server: Server) -> None:
    again = herald({"HERALD_PORT": str(dev_server.port)}, "dev")
    assert again.returncode == 2
    assert f"127.0.0.1:{dev_server.port} is in use" in again.stderr


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
