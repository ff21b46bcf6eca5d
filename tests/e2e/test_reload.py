"""SIGHUP reloads the routes of the real server: new routes apply to the next event, wrong ones are refused, and open
sessions are checked."""

import asyncio
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from domain.protocol.herald_v1 import SUBPROTOCOL
from domain.routes_version import version_of
from entrypoints.profiles.loader import load_table
from entrypoints.settings.loader import read
from tests.e2e.conftest import StartServer
from tests.support.clients import closed, connect, frame, objects, publish, silent, stream, token, until_http
from tests.support.reloading import hang_up, refuse, reload, routes_version, wait_for_log
from tests.support.server import SECRET, Server

ROUTES = """
profile = "desk"
broker = "memory"

[feeds.news]
access = "public"

[feeds.internal]
access = "public"

[[endpoints]]
name = "desk"
path = "/desk"
transport = "ws"
user = "query:agent"
inbox = "profile"

[[endpoints]]
name = "ticker"
path = "/ticker"
transport = "sse"

[[routes]]
source = "ticket"
users = ["agent"]
envelope = "typed"
inbox = { title = "Ticket {number}" }

[[routes]]
source = "news"
feed = "news"
envelope = "typed"

[[routes]]
source = "internal"
feed = "internal"
envelope = "typed"
"""

NO_INTERNAL = ROUTES.replace('[feeds.internal]\naccess = "public"\n', "").replace(
    ROUTES[ROUTES.index('[[routes]]\nsource = "internal"') :], ""
)
PRIVATE = ROUTES.replace('[feeds.internal]\naccess = "public"', '[feeds.internal]\naccess = "scope:staff"')


class Desk:
    """A server and its routes file."""

    def __init__(self, server: Server, file: Path) -> None:
        self.server = server
        self.file = file

    def reload(self, routes: str) -> None:
        reload(self.server, self.file, routes)

    async def publish(self, source: str, payload: Any) -> None:
        await publish(self.server, source, payload, token=token("publisher", scope="events:publish"))

    async def titles(self, agent: str) -> list[str]:
        async with httpx.AsyncClient(base_url=self.server.url) as client:
            answer = await client.get("/api/v2/notifications", params={"user_id": agent})
        return [one["title"] for one in answer.json()["data"]]


@pytest.fixture(scope="module")
def shared_desk(start_shared_server: StartServer, tmp_path_factory: pytest.TempPathFactory) -> Desk:
    file = tmp_path_factory.mktemp("routes") / "desk.toml"
    file.write_text(ROUTES)
    env = {"HERALD_ROUTES": str(file), "HERALD_HEARTBEAT_SECONDS": "600", "HERALD_LOG_FORMAT": "json"}
    return Desk(start_shared_server(env), file)


@pytest.fixture(scope="module")
def shared_guarded(start_shared_server: StartServer, tmp_path_factory: pytest.TempPathFactory) -> Desk:
    file = tmp_path_factory.mktemp("routes") / "desk.toml"
    file.write_text(ROUTES)
    env = {"HERALD_ROUTES": str(file), "HERALD_AUTH": "jwt", "HERALD_JWT_SECRET": SECRET}
    return Desk(start_shared_server(env), file)


@pytest.fixture
def guarded(shared_guarded: Desk) -> Desk:
    """A server that wants tokens, with ROUTES in force."""
    if shared_guarded.file.read_text() != ROUTES:
        shared_guarded.reload(ROUTES)
    return shared_guarded


@pytest.fixture
def desk(shared_desk: Desk) -> Desk:
    """The server, with ROUTES in force."""
    if shared_desk.file.read_text() != ROUTES:
        shared_desk.reload(ROUTES)
    return shared_desk


async def test_a_changed_title_applies_to_the_next_event(desk: Desk) -> None:
    before = routes_version(desk.server)
    await publish(desk.server, "ticket", {"agent": "ann", "number": 1})
    desk.reload(ROUTES.replace('"Ticket {number}"', '"Case {number}"'))
    await publish(desk.server, "ticket", {"agent": "ann", "number": 2})
    assert await desk.titles("ann") == ["Case 2", "Ticket 1"]
    assert routes_version(desk.server) != before


def test_routes_check_prints_the_version_in_force(desk: Desk) -> None:
    herald = Path(sys.executable).with_name("herald")
    printed = subprocess.run([herald, "routes", "check", desk.file], capture_output=True, text=True, check=True).stdout
    found = re.search(r"\b[0-9a-f]{12}\b", printed)
    assert found is not None, printed
    assert found[0] == routes_version(desk.server)


@pytest.mark.parametrize(
    ("routes", "reason"),
    [
        ("", "profile"),
        (ROUTES[:-30], "not valid TOML"),
        (ROUTES.replace('users = ["agent"]', 'user = ["agent"]'), "route 1"),
        (ROUTES.replace('path = "/desk"', 'path = "/desks"'), "endpoint 'desk' has changed: restart the node"),
        (ROUTES.replace('feed = "news"', 'email = { to = "to", subject = "s", template = "absent.html" }'), "absent"),
    ],
)
async def test_wrong_routes_are_refused_and_the_old_ones_go_on(desk: Desk, routes: str, reason: str) -> None:
    before = routes_version(desk.server)
    line = json.loads(refuse(desk.server, desk.file, routes))
    assert reason in line["error"]
    assert line["version"] == before == routes_version(desk.server)
    await publish(desk.server, "ticket", {"agent": f"refused-{reason}", "number": 1})
    assert await desk.titles(f"refused-{reason}") == ["Ticket 1"]


async def test_a_file_that_is_still_being_written_is_not_used_in_part(desk: Desk) -> None:
    """The first part alone would be a valid file, without the feed `internal`."""
    part = ROUTES[: ROUTES.index('[[routes]]\nsource = "internal"')]
    versions = set()
    reloads = desk.server.log.count("routes_reloaded")
    desk.file.write_text(part)
    hang_up(desk.server)
    await asyncio.sleep(0.1)
    desk.file.write_text(ROUTES.replace("Ticket", "Case"))
    while desk.server.log.count("routes_reloaded") == reloads:
        versions.add(routes_version(desk.server))
    versions.add(routes_version(desk.server))
    assert len(versions) == 2
    await publish(desk.server, "internal", {"type": "x"})
    assert desk.server.log.count('"no_route"') == 0


async def test_a_signal_during_a_reload_is_not_lost(desk: Desk) -> None:
    for number in range(5):
        desk.file.write_text(ROUTES.replace("Ticket", f"Case-{number}"))
        hang_up(desk.server)
    await until_http(desk.server, "/health", lambda health: health["routes_version"] == _version_of(desk.file), 10)
    await publish(desk.server, "ticket", {"agent": "bob", "number": 1})
    assert await desk.titles("bob") == ["Case-4 1"]


def _version_of(file: Path) -> str:
    return version_of(load_table(read({"HERALD_ROUTES": str(file)}, "dev", {})))


async def test_reloads_are_counted(desk: Desk) -> None:
    async with httpx.AsyncClient(base_url=desk.server.url) as client:
        before = (await client.get("/metrics")).json()["routesReloads"].get("reloaded", 0)
        desk.reload(ROUTES)
        assert (await client.get("/metrics")).json()["routesReloads"]["reloaded"] == before + 1
        text = (await client.get("/metrics", headers={"accept": "text/plain"})).text
    assert f'herald_routes_reloads_total{{result="reloaded"}} {before + 1}.0' in text


# --- sessions -------------------------------------------------------------------------------------------------------


async def greeted(desk: Desk, path: str, **headers: str) -> tuple[Any, Any]:
    """Connect a `herald.v1` client. Returns its socket and `hello`."""
    socket = await connect(desk.server.ws_url + path, subprotocols=[SUBPROTOCOL], additional_headers=headers)
    await socket.send('{"resume": {}}')
    return socket, await frame(socket)


async def test_a_client_gets_a_new_hello_if_its_feeds_change(desk: Desk) -> None:
    socket, first = await greeted(desk, "/desk?agent=cat")
    assert set(first["positions"]) == {"news", "internal", "inbox"}
    await publish(desk.server, "news", {"type": "n", "number": 1})
    (news,) = await objects(socket, 1)
    desk.reload(NO_INTERNAL)
    hello = await frame(socket)
    assert (hello["kind"], hello["resumed"], hello["gap"]) == ("hello", True, [])
    assert set(hello["positions"]) == {"news", "inbox"}
    assert hello["positions"]["news"] == news["seq"]
    # The session goes on: commands are answered, and events arrive once.
    await socket.send('{"ping": 7}')
    assert (await frame(socket))["ping"] == 7
    await publish(desk.server, "news", {"type": "n", "number": 2})
    assert (await frame(socket))["data"]["number"] == 2
    desk.reload(ROUTES)
    assert set((await frame(socket))["positions"]) == {"news", "internal", "inbox"}
    await publish(desk.server, "internal", {"type": "n", "number": 3})
    assert (await frame(socket))["data"]["number"] == 3


@pytest.mark.parametrize(("routes", "code"), [(PRIVATE, 4501), (NO_INTERNAL, 4506)])
async def test_a_client_that_asked_for_a_feed_is_closed_if_it_may_not_follow_it(
    guarded: Desk, routes: str, code: int
) -> None:
    dan = {"authorization": f"Bearer {token('dan')}"}
    asking, _ = await greeted(guarded, "/desk?feeds=internal", **dan)
    plain = await connect(guarded.server.ws_url + "/desk?feeds=internal", additional_headers=dan)
    allowed = {"authorization": f"Bearer {token('eve', scope='staff')}"}
    may, _ = await greeted(guarded, "/desk?feeds=internal", **allowed)
    other, _ = await greeted(guarded, "/desk?feeds=news", **dan)
    guarded.reload(routes)
    bye = await frame(asking)
    assert (bye["kind"], bye["code"]) == ("bye", code)
    assert [await closed(one) for one in (asking, plain)] == [code, code]
    await silent(other)
    if code == 4501:
        await silent(may)


async def test_a_plain_client_goes_on_without_a_feed_that_it_may_not_follow_any_more(guarded: Desk) -> None:
    socket = await connect(guarded.server.ws_url + "/desk")
    await guarded.publish("internal", {"type": "i", "number": 1})
    assert (await frame(socket))["data"]["number"] == 1
    replaced = guarded.server.log.count("sessions_replaced")
    guarded.reload(PRIVATE)
    wait_for_log(guarded.server, "sessions_replaced", replaced + 1)
    await guarded.publish("internal", {"type": "i", "number": 2})
    await guarded.publish("news", {"type": "n", "number": 3})
    assert (await frame(socket))["data"]["number"] == 3


async def test_an_event_stream_ends_and_resumes_without_the_feed(guarded: Desk) -> None:
    async with stream(guarded.server, path="/ticker") as events:
        await events.next()
        await guarded.publish("news", {"type": "n", "number": 1})
        last_id, _ = await events.next()
        guarded.reload(PRIVATE)
        with pytest.raises(StopAsyncIteration):
            await events.next()
    await guarded.publish("internal", {"type": "i", "number": 2})
    await guarded.publish("news", {"type": "n", "number": 3})
    async with stream(guarded.server, path="/ticker", **{"last-event-id": last_id}) as events:
        await events.next()
        assert (await events.next())[1]["data"]["number"] == 3
    async with httpx.AsyncClient(base_url=guarded.server.url) as client:
        assert (await client.get("/ticker?feeds=internal")).status_code == 401


# --- under load -----------------------------------------------------------------------------------------------------


async def test_no_event_is_lost_or_stored_twice_while_routes_are_reloaded(desk: Desk) -> None:
    socket, _ = await greeted(desk, "/desk?agent=fay")
    published = 0
    done = asyncio.Event()

    async def publish_all() -> None:
        nonlocal published
        while not done.is_set():
            await publish(desk.server, "ticket", *({"agent": "fay", "number": published + n} for n in range(50)))
            published += 50

    publishing = asyncio.create_task(publish_all())
    received: list[int] = []
    changes: list[Callable[[str], str]] = [lambda text: text.replace("Ticket", "Case"), lambda text: text]
    for number in range(6):
        await asyncio.to_thread(desk.reload, changes[number % 2](ROUTES))
    done.set()
    await publishing
    async with asyncio.timeout(30):
        while len(received) < published:
            received += [json.loads(line)["data"]["number"] for line in str(await socket.recv()).split("\n")]
    assert received == list(range(published))
    titles = {title.split()[0] for title in await desk.titles("fay")}
    assert titles <= {"Ticket", "Case"}
