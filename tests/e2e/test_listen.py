"""`herald listen` and its client against a real Herald: whichever process is killed, nothing is lost or duplicated."""

import asyncio
import os
import random
import signal
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from herald_client import Away, Backoff, Broadcast, CursorInMemory, Hello, Listener, Notification, Stopped
from tests.support.clients import publish, token
from tests.support.listening import HERALD, Listen, in_shell
from tests.support.server import SECRET, Server
from tests.support.service import free_port

PATIENCE: Final = 30.0
QUICK: Final = Backoff(0.05, 0.5)
PUBLISHER: Final = token("publisher", scope="events:publish")


@pytest.fixture(scope="module")
def open_server() -> Iterator[Server]:
    """A client disconnects after 2.5 heartbeats without anything received."""
    server = Server({"HERALD_HEARTBEAT_SECONDS": "2", "HERALD_PUBLISH_RATE": "0"}).start(ready=True)
    yield server
    server.kill()


@pytest.fixture(scope="module")
def jwt_server() -> Iterator[Server]:
    env = {"HERALD_JWT_SECRET": SECRET, "HERALD_BROKER": "memory", "HERALD_CONNECT_RATE": "1"}
    server = Server(env, ("serve",)).start(ready=True)
    yield server
    server.kill()


@pytest.fixture
def listening(tmp_path: Path) -> Iterator[Any]:
    """Starts `herald listen` processes: `listening(url, *options)`."""
    started: list[Listen] = []

    def start(url: str, *options: str, **env: str) -> Listen:
        one = Listen(tmp_path, "--url", url, *options, env=env).start()
        started.append(one)
        return one

    yield start
    for one in started:
        one.stop()


async def come(listener: Listener, count: int) -> list[Any]:
    """Return the next `count` items."""
    async with asyncio.timeout(PATIENCE):
        return [await anext(listener) for _ in range(count)]


async def until(listener: Listener, kind: type) -> Any:
    """Return the next item of this kind."""
    async with asyncio.timeout(PATIENCE):
        while not isinstance(item := await anext(listener), kind):
            pass
        return item


async def numbers(listener: Listener, last: int) -> list[int]:
    """Return the numbers of all notifications up to this one."""
    found: list[int] = []
    async with asyncio.timeout(PATIENCE):
        while found[-1:] != [last]:
            item = await anext(listener)
            assert not (isinstance(item, Hello) and item.gap), item
            if isinstance(item, Notification):
                found.append(item.data["n"])
    return found


def risk(user: str, n: int) -> dict[str, Any]:
    return {"user_id": user, "n": n}


async def see(server: Server, user: str) -> None:
    """Move the watermark of the user's inbox to the newest notification."""
    async with httpx.AsyncClient(base_url=server.url) as client:
        answer = await client.put("/api/v2/notifications/seen", params={"user_id": user})
        assert answer.status_code == 200, answer.text


@asynccontextmanager
async def flowing(server: Server, user: str, sent: list[int]) -> AsyncIterator[None]:
    """Publish events, one or 20 at a time, until the end of the block."""
    over = asyncio.Event()

    async def run() -> None:
        while not over.is_set():
            some = range(len(sent), len(sent) + random.choice([1, 1, 1, 20]))
            await publish(server, "risk-events", *(risk(user, n) for n in some))
            sent.extend(some)
            await asyncio.sleep(0.01)

    running = asyncio.create_task(run())
    try:
        yield
    finally:
        over.set()
        await running


# --- the node is killed ---------------------------------------------------------------------------------------


async def test_the_client_moves_to_the_other_node_without_loss(postgres_url: str, start_server: Any) -> None:
    env = {
        "DATABASE_URL": postgres_url,
        "HERALD_AUTH": "open",
        "HERALD_BROKER": "memory",
        "HERALD_DRAIN_SECONDS": "2",
        "HERALD_PUBLISH_RATE": "0",
    }
    one, two = (start_server(env, ("serve",)) for _ in range(2))
    sent = [0]
    async with Listener([one.ws_url + "/ws", two.ws_url + "/ws"], user="u", backoff=QUICK) as listener:
        await come(listener, 1)
        victim, survivor = (one, two) if listener.url == one.ws_url + "/ws" else (two, one)
        await publish(victim, "risk-events", risk("u", 0))
        assert await numbers(listener, 0) == sent
        await moves(listener, victim, survivor, signal.SIGKILL, sent)
        await asyncio.to_thread(victim.start, True)
        await moves(listener, survivor, victim, signal.SIGTERM, sent)


async def moves(listener: Listener, victim: Server, survivor: Server, how: signal.Signals, sent: list[int]) -> None:
    """Assert that the listener moves from the victim to the survivor when the victim is stopped."""
    before = len(sent)
    async with flowing(survivor, "u", sent):
        seen = await come(listener, 1)
        stopping = asyncio.create_task(asyncio.to_thread(victim.stop, how))
        items: list[Any] = []
        async with asyncio.timeout(PATIENCE):
            while not (items and isinstance(items[-1], Hello)):
                items.append(await anext(listener))
        await stopping
    (away,) = (item for item in items if isinstance(item, Away))
    assert away.code == (1006 if how == signal.SIGKILL else 1012)
    assert listener.url == survivor.ws_url + "/ws"
    assert items[-1].resumed
    seen += [item for item in items if isinstance(item, Notification)]
    found = [item.data["n"] for item in seen]
    if found[-1] < sent[-1]:
        found += await numbers(listener, sent[-1])
    assert found == sent[before:]


async def test_it_connects_once_a_server_is_started() -> None:
    port = free_port()
    async with Listener(f"http://127.0.0.1:{port}", user="u", backoff=QUICK) as listener:
        away = (await come(listener, 2))[1]
        assert (away.reason, away.code) == ("connection refused", None)
        server = Server(port=port)
        try:
            await asyncio.to_thread(server.start, True)
            await until(listener, Hello)
            await publish(server, "risk-events", risk("u", 1))
            assert await numbers(listener, 1) == [1]
        finally:
            server.kill()


async def test_it_disconnects_from_a_frozen_server(open_server: Server) -> None:
    user = uuid.uuid4().hex
    assert open_server.process is not None
    async with Listener(open_server.url, user=user, backoff=QUICK) as listener:
        await come(listener, 1)
        await publish(open_server, "risk-events", risk(user, 1))
        assert await numbers(listener, 1) == [1]
        open_server.process.send_signal(signal.SIGSTOP)
        try:
            assert (await until(listener, Away)).reason == "nothing received for 5 s"
        finally:
            open_server.process.send_signal(signal.SIGCONT)
        await publish(open_server, "risk-events", risk(user, 2))
        assert await numbers(listener, 2) == [2]


# --- the listener is killed -----------------------------------------------------------------------------------


async def test_a_repeatedly_killed_listener_loses_nothing(open_server: Server, listening: Any, tmp_path: Path) -> None:
    """At most the last frame before the kill is printed again, since its cursor was not saved."""
    user = uuid.uuid4().hex
    sent: list[int] = []
    one = listening(open_server.url, "--user", user, "--cursor", str(tmp_path / "cursor"))
    # It has no cursor before that.
    await one.until_news("connected")
    async with flowing(open_server, user, sent):
        for turn in range(1, 6):
            await one.until_news("connected", turn)
            await one.until_printed(one.printed + 1)
            await asyncio.sleep(random.uniform(0, 0.1))
            one.stop()
            one.start()
    deadline = time.monotonic() + PATIENCE
    # The last run prints nothing if the run before it had printed everything and saved the cursor.
    while one.objects[-1]["data"]["n"] != sent[-1]:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)
    await one.until_news("connected", 6)
    assert one.stop(signal.SIGTERM) == 0
    assert "something is missing" not in one.news
    expected = 0
    for run in ([printed["data"]["n"] for printed in run] for run in one.runs if run):
        assert run == list(range(run[0], run[0] + len(run)))
        # A frame has at most 64 entries.
        assert expected - 64 <= run[0] <= expected
        expected = run[-1] + 1
    assert expected == len(sent)


@pytest.mark.parametrize(("how", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 0)])
async def test_a_signal_ends_it_and_the_next_run_resumes(
    how: signal.Signals, code: int, open_server: Server, listening: Any, tmp_path: Path
) -> None:
    user = uuid.uuid4().hex
    one = listening(open_server.url, "--cursor", str(tmp_path / "cursor"), "--user", user)
    await one.until_news("connected to ws://127.0.0.1")
    await publish(open_server, "risk-events", *(risk(user, n) for n in range(10)))
    await one.until_printed(10)
    await see(open_server, user)
    await one.until_printed(11)
    assert one.stop(how) == code
    await publish(open_server, "risk-events", *(risk(user, n) for n in range(10, 20)))
    await see(open_server, user)
    one.start()
    await one.until_printed(22)
    assert one.stop(how) == code
    printed = [(line["kind"], line["data"]["n"] if "data" in line else line["unseen"]) for line in one.objects]
    arrivals = [("notification", n) for n in range(20)]
    assert printed == [*arrivals[:10], ("seen", 0), *arrivals[10:], ("seen", 0)]
    assert "resumed\n" in one.news
    assert "Traceback" not in one.news


async def test_a_reader_that_closes_the_pipe_ends_it_without_an_error(open_server: Server, tmp_path: Path) -> None:
    user = uuid.uuid4().hex
    (tmp_path / "news").touch()
    process = in_shell(f"{HERALD} listen --url {open_server.url} --user {user} 2>{tmp_path}/news | head -1")
    async with asyncio.timeout(PATIENCE):
        while "connected" not in (tmp_path / "news").read_text():
            await asyncio.sleep(0.02)
        for n in range(1000):
            await publish(open_server, "risk-events", risk(user, n))
            await asyncio.sleep(0.02)
            if process.poll() is not None:
                break
    output, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0
    assert output.count(b"\n") == 1
    assert len((tmp_path / "news").read_text().splitlines()) == 1


async def test_a_full_disk_is_reported_and_unprinted_entries_are_received_again(
    open_server: Server, listening: Any, tmp_path: Path
) -> None:
    user, news, cursor = uuid.uuid4().hex, tmp_path / "full-news", tmp_path / "cursor"
    options = f"--url {open_server.url} --user {user} --cursor {cursor}"
    news.touch()
    process = in_shell(f"exec {HERALD} listen {options} >/dev/full 2>{news}")
    try:
        async with asyncio.timeout(PATIENCE):
            while "connected" not in news.read_text():
                await asyncio.sleep(0.02)
        await publish(open_server, "risk-events", risk(user, 0))
        assert await asyncio.to_thread(process.wait, PATIENCE) == 1
    finally:
        process.kill()
        process.communicate()
    _, line = news.read_text().splitlines()
    assert line == "Error: Standard output can't be written to: No space left on device"
    one = listening(open_server.url, "--user", user, "--cursor", str(cursor))
    await one.until_printed(1)
    assert one.objects[0]["data"]["n"] == 0


async def test_a_reader_that_reads_nothing_does_not_prevent_its_end(open_server: Server, tmp_path: Path) -> None:
    user = uuid.uuid4().hex
    (tmp_path / "news").touch()
    process = in_shell(f"exec {HERALD} listen --url {open_server.url} --user {user} 2>{tmp_path}/news")
    try:
        async with asyncio.timeout(PATIENCE):
            while "connected" not in (tmp_path / "news").read_text():
                await asyncio.sleep(0.02)
        await publish(open_server, "risk-events", risk(user, 0) | {"text": "x" * 200_000})
        assert process.stdout is not None
        # The pipe is full now, and the rest of the line is still to be written.
        assert await asyncio.to_thread(os.read, process.stdout.fileno(), 1) == b"{"
        process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(process.wait, PATIENCE) == 0
    finally:
        process.kill()
        process.communicate()


# --- authentication and options -------------------------------------------------------------------------------


async def test_a_cursor_of_another_user_is_a_gap_and_its_positions_are_not_used(open_server: Server) -> None:
    ada, bob = uuid.uuid4().hex, uuid.uuid4().hex
    place = CursorInMemory()
    await publish(open_server, "risk-events", *(risk(user, n) for user in (ada, bob) for n in range(5)))
    async with Listener(open_server.url, user=ada, cursor=place) as listener:
        await come(listener, 1)
        await publish(open_server, "risk-events", risk(ada, 5))
        assert await numbers(listener, 5) == [5]
    async with Listener(open_server.url, user=bob, cursor=place) as listener:
        (greeting,) = await come(listener, 1)
        assert "inbox" in greeting.gap
        assert greeting.positions["inbox"] == 5
        await publish(open_server, "risk-events", risk(bob, 6))
        assert await numbers(listener, 6) == [6]
    async with Listener(open_server.url, user=bob, cursor=place) as listener:
        (greeting,) = await come(listener, 1)
        assert (greeting.resumed, greeting.gap) == (True, ())


async def test_a_gap_at_the_start_is_printed(open_server: Server, listening: Any, tmp_path: Path) -> None:
    (tmp_path / "cursor").write_text('{"cursor": "1.000000000000.00.inbox:5", "positions": {"inbox": 7}}')
    one = listening(open_server.url, "--user", "u", "--cursor", str(tmp_path / "cursor"))
    await one.until_printed(1)
    (printed,) = one.objects
    assert (printed["kind"], printed["resumed"]) == ("hello", False)
    assert "inbox" in printed["gap"]
    await one.until_news("entries may be missing in")


async def test_an_invalid_cursor_file_is_reported_and_kept(open_server: Server, listening: Any, tmp_path: Path) -> None:
    (tmp_path / "cursor").write_text("rubbish")
    one = listening(open_server.url, "--user", "u", "--cursor", str(tmp_path / "cursor"))
    assert one.ended() == 1
    assert f"{tmp_path}/cursor is not a cursor file" in one.news
    assert (tmp_path / "cursor").read_text() == "rubbish"


async def test_a_cursor_that_cannot_be_saved_is_an_error(open_server: Server, listening: Any, tmp_path: Path) -> None:
    one = listening(open_server.url, "--user", "u", "--cursor", str(tmp_path / "nowhere" / "cursor"))
    assert one.ended() == 1
    line = one.news.splitlines()[-1]
    assert line == f"Error: The cursor can't be stored in {tmp_path}/nowhere/cursor: No such file or directory"
    assert "Traceback" not in one.news


async def test_an_invalid_token_stops_it_with_one_line(jwt_server: Server, listening: Any) -> None:
    one = listening(jwt_server.url, HERALD_TOKEN="rubbish")
    assert one.ended() == 1
    assert one.objects == []
    (line,) = one.news.splitlines()
    assert line == f"Error: {jwt_server.main_ws_url}/ws: The token is not valid. (4504)"


async def test_without_a_token_the_error_says_how_to_give_one(jwt_server: Server, listening: Any) -> None:
    one = listening(jwt_server.url, "--user", "ada")
    assert one.ended() == 1
    (line,) = one.news.splitlines()
    assert line.startswith(
        f"Error: {jwt_server.main_ws_url}/ws: A token is needed. (4504)"
        " Give one by the option --token, or set HERALD_TOKEN"
    )


async def test_without_a_token_and_a_user_it_says_that_no_inbox_is_printed(open_server: Server, listening: Any) -> None:
    one = listening(open_server.url)
    await one.until_news("connected to ")
    assert one.news.startswith("without --token, HERALD_TOKEN or --user, feeds are printed, and no inbox\n")


async def test_an_unknown_feed_stops_it_with_one_line(open_server: Server, listening: Any) -> None:
    one = listening(open_server.url, "--feeds", "market,nowhere")
    assert one.ended() == 1
    (line,) = one.news.splitlines()
    assert line == f'Error: {open_server.main_ws_url}/ws: There is no feed "nowhere" at this endpoint. (4506)'


async def test_the_inbox_of_another_user_stops_it(jwt_server: Server) -> None:
    async with Listener(jwt_server.url, user="bob", token=token("not-bob")) as listener:
        with pytest.raises(Stopped) as stopped:
            await come(listener, 1)
        assert stopped.value.code == 4501


async def test_an_expiring_token_stops_it(jwt_server: Server) -> None:
    async with Listener(jwt_server.url, token=token("brief", exp=int(time.time()) + 2)) as listener:
        assert "inbox" in (await come(listener, 1))[0].positions
        with pytest.raises(Stopped) as stopped:
            await come(listener, 1)
        assert stopped.value.code == 4401


async def test_a_token_provider_keeps_the_connection_open(jwt_server: Server) -> None:
    given: list[str] = []

    def provider() -> str:
        given.append(token("renewed", exp=int(time.time()) + 3, jti=str(len(given))))
        return given[-1]

    async with Listener(jwt_server.url, token=provider, backoff=QUICK) as listener:
        await come(listener, 1)

        async def later() -> None:
            while len(given) < 3:
                await asyncio.sleep(0.02)
            await publish(jwt_server, "risk-events", risk("renewed", 1), token=PUBLISHER)

        publishing = asyncio.create_task(later())
        # Neither an Away nor a Hello precedes it.
        (item,) = await come(listener, 1)
        assert isinstance(item, Notification)
        await publishing


async def test_a_token_provider_is_called_again_after_an_expired_token(jwt_server: Server) -> None:
    tokens = iter([token("late", exp=int(time.time()) - 60), token("late")])
    async with Listener(jwt_server.url, token=lambda: next(tokens), backoff=QUICK) as listener:
        away, greeting = await come(listener, 2)
        assert (away.code, type(greeting)) == (4401, Hello)


async def test_a_sign_out_stops_it(jwt_server: Server, listening: Any) -> None:
    one = listening(jwt_server.url, HERALD_TOKEN=token("leaver", iat=int(time.time()) - 30))
    await one.until_news("connected")
    await publish(jwt_server, "user_service.user.logout_account", {"user_id": "leaver"}, token=PUBLISHER)
    assert one.ended() == 1
    assert "(4502)" in one.news


async def test_too_many_connects_are_retried_after_the_delay(jwt_server: Server) -> None:
    async def once() -> None:
        async with Listener(jwt_server.url, token=shown) as listener:
            await come(listener, 1)

    shown = token("eager")
    # The burst is ten times the rate of one per second.
    await asyncio.gather(*(once() for _ in range(10)))
    async with Listener(jwt_server.url, token=shown, backoff=Backoff(0.01, 0.01)) as listener:
        away, greeting = await come(listener, 2)
        assert (away.code, type(greeting)) == (429, Hello)
        assert away.retry_in >= 1


@pytest.mark.parametrize(
    "options",
    [
        ("--feeds", "market", "--types", "market_alert"),
        ("--feeds", "market", "--feeds", "products", "--types", "market_alert", "--types", "product_added,none"),
    ],
)
async def test_feeds_and_types_are_filtered(open_server: Server, listening: Any, options: tuple[str, ...]) -> None:
    one = listening(open_server.url, *options)
    await one.until_news("connected")
    await publish(open_server, "trading_signals", "no")
    await publish(open_server, "regime-events", {"n": 1})
    await publish(open_server, "alert-events", {"n": 2})
    await one.until_printed(1)
    assert [(printed["stream"], printed["data"]) for printed in one.objects] == [("market", {"n": 2})]


async def test_a_public_feed_needs_no_user(open_server: Server) -> None:
    async with Listener(open_server.url, feeds=["signals"]) as listener:
        await come(listener, 1)
        await publish(open_server, "trading_signals", "plain text")
        item = await until(listener, Broadcast)
        assert (item.stream, item.data) == ("signals", "plain text")
