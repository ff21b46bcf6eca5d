"""The Python client against misbehaving servers, including faults that no Herald server shows for long."""

import asyncio
import json
import logging
import random
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import pytest

from herald_client import (
    Away,
    Backoff,
    Broadcast,
    CursorFile,
    CursorInMemory,
    Gap,
    Hello,
    Listener,
    Read,
    ResumePoint,
    Stopped,
    Timing,
    Token,
)
from tests.support.impostor import Impostor, Visit, broadcast, hello, playing, read, refusal

PATIENCE: Final = 20.0
QUICK: Final = Backoff(0.01, 0.05)


async def come(listener: Listener, count: int) -> list[Any]:
    """Return the next `count` items."""
    async with asyncio.timeout(PATIENCE):
        return [await anext(listener) for _ in range(count)]


def numbers(items: list[Any]) -> list[int]:
    return [item.data["n"] for item in items if isinstance(item, Broadcast)]


async def stay(visit: Visit) -> None:
    await visit.greet()
    await visit.until_left()


def sends(*frames: Any, **fields: Any) -> Callable[[Visit], Awaitable[None]]:
    """Build a scene: greet, send these frames (an object, or a list of several), then keep the connection open."""

    async def scene(visit: Visit) -> None:
        await visit.greet(**fields)
        for frame in frames:
            await visit.say(*(frame if isinstance(frame, list) else [frame]))
        await visit.until_left()

    return scene


def closes(code: int, reason: str = "", *before: Any) -> Callable[[Visit], Awaitable[None]]:
    async def scene(visit: Visit) -> None:
        await visit.greet()
        for one in before:
            await visit.say(one)
        await visit.socket.close(code, reason)

    return scene


# --- positions ------------------------------------------------------------------------------------------------


async def test_the_request_carries_the_options_of_the_caller() -> None:
    async with (
        playing(stay) as there,
        Listener(
            f"{there.url}/ws?x=1", user="u", feeds=["a", "b"], types=["t"], token="secret", headers={"X-Trace": "5"}
        ) as listener,
    ):
        (greeting,) = await come(listener, 1)
        assert isinstance(greeting, Hello)
        (visit,) = there.visits
        assert visit.path == "/ws?x=1&user_id=u&feeds=a%2Cb&types=t"
        assert (visit.headers["Authorization"], visit.headers["X-Trace"]) == ("Bearer secret", "5")
        assert listener.url == f"{there.url}/ws"


async def test_it_resumes_from_the_last_cursor_and_the_positions_since() -> None:
    heard: list[Any] = []

    async def first(visit: Visit) -> None:
        heard.append(await visit.greet(positions={"inbox": 3, "news": 0}))
        await visit.say(broadcast(1), read(2, 4))
        await visit.say({"kind": "heartbeat", "time": "2026-03-01T12:00:00Z", "cursor": "c1"})
        await visit.say(broadcast(2))
        await visit.socket.close(1011)

    async def second(visit: Visit) -> None:
        heard.append(await visit.greet(positions={"inbox": 4, "news": 2}, cursor="c2"))
        # Duplicates, which a correct server never sends.
        await visit.say(broadcast(2), read(2, 4), broadcast(3), broadcast(3))
        await visit.until_left()

    store = CursorInMemory()
    async with playing(first, second) as there, Listener(there.url, cursor=store, backoff=QUICK) as listener:
        items = await come(listener, 7)
        assert [type(item) for item in items] == [Hello, Broadcast, Read, Broadcast, Away, Hello, Broadcast]
        assert numbers(items) == [1, 2, 3]
        assert listener.repeats == 3
        assert heard == [{}, {"cursor": "c1", "positions": {"inbox": 4, "news": 2}}]
    assert store.resume_point == ResumePoint("c2", {"inbox": 4, "news": 3})


async def test_the_saved_cursor_covers_only_processed_items_up_to_a_complete_position(tmp_path: Path) -> None:
    frame = [read(1, 7), read(2, 7), read(3, 8), broadcast(1)]
    file = CursorFile(tmp_path / "cursor")
    for count, inbox in ((1, 0), (2, 0), (3, 7), (4, 8)):
        file.path.unlink(missing_ok=True)
        async with playing(sends(frame, positions={"inbox": 0, "news": 0})) as there:
            async with Listener(there.url, cursor=file) as listener:
                await come(listener, 1 + count)
                # The caller may still fail while it processes the last item.
                before = file.load()
            after = file.load()
        assert before is not None
        assert after is not None
        assert before.positions["inbox"] == 0
        assert after.positions == {"inbox": [0, 7, 8, 8][count - 1], "news": int(count == 4)}, inbox


async def test_unprocessed_items_are_received_again(tmp_path: Path) -> None:
    file = CursorFile(tmp_path / "cursor")
    scene = sends([broadcast(1), broadcast(2), broadcast(3)], positions={"news": 0})
    async with playing(scene) as there:
        with suppress(ZeroDivisionError):
            async with Listener(there.url, cursor=file) as listener:
                await come(listener, 3)
                raise ZeroDivisionError
        async with Listener(there.url, cursor=file) as listener:
            assert numbers(await come(listener, 3)) == [2, 3]


async def test_batches_are_saved_per_complete_frame(tmp_path: Path) -> None:
    file = CursorFile(tmp_path / "cursor")
    scene = sends([broadcast(1), broadcast(2)], broadcast(3), positions={"news": 0})
    async with playing(scene) as there:
        with suppress(ZeroDivisionError):
            async with Listener(there.url, cursor=file) as listener, asyncio.timeout(PATIENCE):
                async for batch in listener.batches():
                    assert len(batch.items) == len(batch.lines)
                    if len(batch.items) == 2:
                        raise ZeroDivisionError
        assert file.load() == ResumePoint("c0", {"news": 0})
        async with Listener(there.url, cursor=file) as listener, asyncio.timeout(PATIENCE):
            seen: list[Any] = []
            async for batch in listener.batches():
                seen += batch.items
                if numbers(seen)[-1:] == [3]:
                    break
            assert numbers(seen) == [1, 2, 3]
        assert file.load() == ResumePoint("c0", {"news": 3})


async def test_a_gap_is_saved_only_after_the_caller_received_it() -> None:
    store = CursorInMemory(ResumePoint("old", {"inbox": 50}))
    gap = {"kind": "gap", "stream": "inbox", "after": 3, "upto": 9}
    scene = sends(gap, positions={"inbox": 3}, resumed=False, gap=["inbox"])
    async with playing(scene) as there, Listener(there.url, cursor=store) as listener:
        (greeting,) = await come(listener, 1)
        assert greeting.gap == ("inbox",)
        assert store.resume_point == ResumePoint("old", {"inbox": 50})
        (told,) = await come(listener, 1)
        assert told == Gap(stream="inbox", after=3, upto=9)
        assert store.resume_point == ResumePoint("c0", {"inbox": 3})
    assert store.resume_point == ResumePoint("c0", {"inbox": 9})


async def test_resuming_by_query_parameter_after_an_early_hello_loses_nothing() -> None:
    async def hasty(visit: Visit) -> None:
        await visit.say(hello(positions={"news": 9}))
        await visit.until_left()

    store = CursorInMemory(ResumePoint("c/7", {"news": 5}))
    patient = sends(broadcast(5), broadcast(6), positions={"news": 4}, resumed=True)
    async with playing(hasty, patient) as there, Listener(there.url, cursor=store, backoff=QUICK) as listener:
        away, greeting, one = await come(listener, 3)
        assert (type(away), type(greeting)) == (Away, Hello)
        assert numbers([one]) == [6]
        assert there.visits[1].path == "/ws?cursor=c%2F7"


async def test_iteration_may_be_cancelled_at_any_moment() -> None:
    async def trickle(visit: Visit) -> None:
        resume = await visit.greet(positions={"news": 0})
        for n in range(resume["positions"]["news"] + 1 if resume else 1, 101):
            await visit.say(broadcast(n))
            await asyncio.sleep(random.uniform(0, 0.006))
            if n % 25 == 0:
                await visit.socket.close(1011)

    seen: list[Any] = []
    cancelled = 0
    async with playing(trickle) as there, Listener(there.url, backoff=QUICK) as listener, asyncio.timeout(PATIENCE):
        while len(numbers(seen)) < 100:
            try:
                async with asyncio.timeout(random.choice([0.001, 0.003, 0.5])):
                    seen.append(await anext(listener))
            except TimeoutError:
                cancelled += 1
    assert numbers(seen) == list(range(1, 101))
    assert cancelled


async def test_leaving_the_context_ends_iteration_and_closes_the_connection() -> None:
    async with playing(stay) as there:
        async with Listener(there.url) as listener:
            await come(listener, 1)
        with pytest.raises(StopAsyncIteration):
            await anext(listener)
        socket = there.visits[0].socket
        async with asyncio.timeout(PATIENCE):
            await socket.wait_closed()
        assert socket.close_code == 1000


# --- ends of connections --------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [1000, 1001, 1011, 1012, 1013, 3000, 4000, 4408, 4429, 4499])
async def test_it_reconnects_after_a_temporary_close_code(code: int) -> None:
    async with playing(closes(code, "why"), stay) as there, Listener(there.url, backoff=QUICK) as listener:
        _, away, greeting = await come(listener, 3)
        assert (away.code, away.reason, type(greeting)) == (code, "why", Hello)


@pytest.mark.parametrize("code", [1009, 4401, 4500, 4501, 4502, 4503, 4504, 4505, 4506, 4999])
async def test_it_stops_after_a_permanent_close_code(code: int) -> None:
    async with playing(closes(code, "why")) as there, Listener(there.url, token="t", backoff=QUICK) as listener:
        await come(listener, 1)
        for _ in range(2):
            with pytest.raises(Stopped, match="why") as stopped:
                await come(listener, 1)
            assert (stopped.value.code, stopped.value.reason) == (code, "why")
        assert len(there.visits) == 1


async def test_a_bye_before_hello_leaves_the_resume_point_unchanged() -> None:
    async def refuses(visit: Visit) -> None:
        places.append((await visit.heard())["resume"])
        await visit.say({"kind": "bye", "code": 1013, "reason": "try again"})
        await visit.socket.close(1013, "try again")

    async def greets(visit: Visit) -> None:
        places.append(await visit.greet(cursor="c7"))
        await visit.socket.close(1001)

    async def stops(visit: Visit) -> None:
        places.append((await visit.heard())["resume"])
        await visit.say({"kind": "bye", "code": 4506, "reason": "There is no such feed."})
        await visit.socket.close(4506)

    places: list[Any] = []
    async with playing(greets, refuses, stops) as there, Listener(there.url, backoff=QUICK) as listener:
        greeting, _, away = await come(listener, 3)
        assert (type(greeting), away.code, away.reason) == (Hello, 1013, "try again")
        with pytest.raises(Stopped, match="There is no such feed") as stopped:
            await come(listener, 1)
        assert stopped.value.code == 4506
        assert places[1] == places[2]
        assert places[1]["cursor"] == "c7"


async def test_a_broken_connection_is_reported_as_1006() -> None:
    async def breaks(visit: Visit) -> None:
        await visit.greet()
        visit.socket.transport.abort()

    async with playing(breaks, stay) as there, Listener(there.url, backoff=QUICK) as listener:
        _, away, _ = await come(listener, 3)
        assert away.code == 1006


async def test_bye_sets_the_delay_and_the_next_server_is_used() -> None:
    bye = {"kind": "bye", "code": 1012, "reason": "this node restarts", "reconnect_in": 0.4}

    async def frozen(visit: Visit) -> None:
        # A close should follow `bye` immediately; this server does not send one.
        await visit.greet()
        await visit.say(bye)
        visit.socket.transport.pause_reading()
        await over.wait()

    over = asyncio.Event()
    for leaving in (closes(1012, "", bye), frozen):
        async with (
            playing(leaving) as one,
            playing(leaving) as other,
            # With this backoff alone it would not reconnect within the timeout of a test.
            Listener([one.url, other.url], backoff=Backoff(1e6, 1e6)) as listener,
        ):
            _, away, greeting = await come(listener, 3)
            assert (away.code, away.reason, away.retry_in) == (1012, "this node restarts", 0.4)
            assert away.next_url != away.url
            assert isinstance(greeting, Hello)
            (first,), (second,) = sorted((one.came, other.came))
            assert second - first >= 0.4
            over.set()


@pytest.mark.parametrize("status", [429, 503])
async def test_a_temporary_refusal_is_retried_after_its_retry_after(status: int) -> None:
    problem = {"title": "Later", "detail": "Not now."}
    refused = refusal(status, problem, Retry_After="1")
    async with playing(refused, stay) as there, Listener(there.url, backoff=QUICK) as listener:
        away, greeting = await come(listener, 2)
        assert (away.code, away.reason, type(greeting)) == (status, "Later: Not now.", Hello)
        assert 1.0 <= away.retry_in <= 1.05
        assert there.came[1] - there.came[0] >= 1.0


@pytest.mark.parametrize("status", [400, 401, 403, 404])
async def test_a_permanent_refusal_stops_it(status: int) -> None:
    problem = {"title": "No", "detail": "Not you."}
    async with playing(refusal(status, problem)) as there, Listener(there.url, token="t", backoff=QUICK) as listener:
        with pytest.raises(Stopped, match=r"No: Not you\.") as stopped:
            await come(listener, 1)
        assert stopped.value.code == status


@pytest.mark.parametrize("location", ["https://u:SECRET@h/ws?token=SECRET", "/there?token=SECRET", "OTHER/ws?t=SECRET"])
async def test_a_redirect_is_not_followed_and_reported_without_secrets(location: str) -> None:
    async with playing(stay) as other:
        moved = refusal(301, Location=location.replace("OTHER", other.url))
        async with playing(moved) as there, Listener(f"{there.url}/ws?token=SECRET", token="SECRET") as listener:
            with pytest.raises(Stopped) as stopped:
                await come(listener, 1)
        assert (len(there.came), other.came) == (1, [])
        assert stopped.value.code == 301
        target = {"h": "https://h/ws", "/": "/there", "O": f"{other.url}/ws"}[location[0]]
        assert stopped.value.reason == f"redirected to {target}, which is not followed"


async def test_a_server_without_herald_v1_stops_it() -> None:
    async with playing(stay, speaks=False) as there, Listener(there.url, backoff=QUICK) as listener:
        with pytest.raises(Stopped, match=r"does not speak herald\.v1"):
            await come(listener, 1)


async def test_consecutive_failures_back_off_until_an_item_arrives() -> None:
    async def useful(visit: Visit) -> None:
        await visit.greet(positions={"news": 0})
        await visit.say(broadcast(len(visit.path)))
        await visit.socket.close(1011)

    async with (
        playing(*[closes(1011)] * 12, useful, stay) as there,
        Listener(there.url, backoff=Backoff(0.01, 0.08)) as listener,
    ):
        items = await come(listener, 12 * 2 + 4)
    waits = [item.retry_in for item in items if isinstance(item, Away)]
    # The chance that eight waits of up to 0.08 s are all below 0.01 s is 1 in 16 million.
    assert max(waits[:12]) > 0.01
    assert waits[12] <= 0.01


# --- silence and invalid frames ---------------------------------------------------------------------------------


async def says_nothing(visit: Visit) -> None:
    await visit.until_left()


async def test_it_reconnects_when_no_hello_arrives() -> None:
    async with (
        playing(says_nothing, stay) as there,
        Listener(there.url, backoff=QUICK, timing=Timing(hello_timeout_s=0.3)) as listener,
    ):
        away, greeting = await come(listener, 2)
        assert (away.reason, away.code, type(greeting)) == ("nothing received for 0.3 s", None, Hello)


async def test_it_reconnects_when_the_handshake_times_out() -> None:
    server = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        async with Listener(f"ws://127.0.0.1:{port}", backoff=QUICK, timing=Timing(open_timeout_s=0.3)) as listener:
            away, again = await come(listener, 2)
    assert (type(away), type(again)) == (Away, Away)
    assert "timed out" in away.reason


async def test_it_reconnects_when_the_server_falls_silent() -> None:
    async with playing(sends(heartbeat=0.2), stay) as there, Listener(there.url, backoff=QUICK) as listener:
        began = time.monotonic()
        _, away, greeting = await come(listener, 3)
        assert time.monotonic() - began >= 0.5
        assert (away.reason, type(greeting)) == ("nothing received for 0.5 s", Hello)


async def test_it_reconnects_when_the_server_falls_silent_and_the_caller_polls() -> None:
    async with playing(sends(heartbeat=0.2), stay) as there, Listener(there.url, backoff=QUICK) as listener:
        await come(listener, 1)
        async with asyncio.timeout(PATIENCE):
            while True:
                with suppress(TimeoutError):
                    away = await asyncio.wait_for(anext(listener), 0.1)
                    break
        assert away.reason == "nothing received for 0.5 s"


async def test_time_between_polls_does_not_count_as_server_silence() -> None:
    rested = asyncio.Event()

    async def waits(visit: Visit) -> None:
        await visit.greet(heartbeat=0.4, positions={"news": 0})
        await rested.wait()
        await visit.say(broadcast(1))
        await visit.until_left()

    async with playing(waits) as there, Listener(there.url) as listener:
        await come(listener, 1)
        for _ in range(3):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(anext(listener), 0.01)
            await asyncio.sleep(0.5)
        rested.set()
        (item,) = await come(listener, 1)
        assert isinstance(item, Broadcast)
        assert len(there.visits) == 1


async def test_a_slow_caller_does_not_count_as_server_silence() -> None:
    async def beats(visit: Visit) -> None:
        await visit.greet(heartbeat=0.2, positions={"news": 0})
        for n in range(1, 1000):
            await visit.say({"kind": "heartbeat", "time": "2026-03-01T12:00:00Z", "cursor": f"c{n}"})
            await asyncio.sleep(0.05)
            if n == 40:
                await visit.say(broadcast(1))

    async with playing(beats) as there, Listener(there.url) as listener:
        await come(listener, 1)
        await asyncio.sleep(1.5)
        (item,) = await come(listener, 1)
        assert isinstance(item, Broadcast)
        assert len(there.visits) == 1


RUBBISH: dict[str, str | bytes] = {
    "no JSON": "rubbish",
    "binary": b'{"kind":"pong"}',
    "half of it": '{"kind":"broadcast","stream":"news","seq":1}',
    "behind an entry": "",
}


@pytest.mark.parametrize("kind", RUBBISH)
async def test_an_invalid_frame_ends_the_connection_without_loss(kind: str) -> None:
    async def garbles(visit: Visit) -> None:
        await visit.greet(positions={"news": 0})
        await visit.socket.send(RUBBISH[kind] or f"{json.dumps(broadcast(1))}\nrubbish")
        await visit.until_left()

    sound = sends(broadcast(1), positions={"news": 0})
    async with playing(garbles, garbles, sound) as there, Listener(there.url, backoff=QUICK) as listener:
        items = await come(listener, 6)
        assert [type(item) for item in items] == [Hello, Away, Hello, Away, Hello, Broadcast]
        assert "not herald.v1" in items[1].reason


async def test_an_entry_before_hello_is_a_protocol_error() -> None:
    async def rash(visit: Visit) -> None:
        await visit.say(broadcast(1))
        await visit.until_left()

    async with playing(rash, stay) as there, Listener(there.url, backoff=QUICK) as listener:
        away, greeting = await come(listener, 2)
        assert "broadcast before hello" in away.reason
        assert isinstance(greeting, Hello)


async def test_a_frame_may_be_large() -> None:
    large = broadcast(1, data="x" * 5_000_000)
    async with playing(sends(large, positions={"news": 0})) as there, Listener(there.url) as listener:
        _, item = await come(listener, 2)
        assert len(item.data) == 5_000_000


# --- tokens ---------------------------------------------------------------------------------------------------


class Provider:
    """Provides the tokens t1, t2 and so on, with an expiry time if `lasts` is given."""

    def __init__(self, lasts: float | None = None) -> None:
        self.given = 0
        self._lasts = lasts

    async def __call__(self) -> str | Token:
        self.given += 1
        text = f"t{self.given}"
        return text if self._lasts is None else Token(text, time.time() + self._lasts)


def shown(there: Impostor) -> list[str]:
    return [visit.headers["Authorization"] for visit in there.visits]


async def test_an_expired_token_is_replaced_and_a_valid_one_reused() -> None:
    scenes = [closes(4401, "expired"), closes(1011), stay]
    async with playing(*scenes) as there, Listener(there.url, token=Provider(), backoff=QUICK) as listener:
        await come(listener, 5)
        assert shown(there) == ["Bearer t1", "Bearer t2", "Bearer t2"]


async def test_a_401_during_the_handshake_fetches_a_fresh_token() -> None:
    scenes = [refusal(401), stay]
    async with playing(*scenes) as there, Listener(there.url, token=Provider(), backoff=QUICK) as listener:
        await come(listener, 2)
        assert shown(there) == ["Bearer t2"]


async def test_a_token_about_to_expire_is_not_used_for_a_new_connection() -> None:
    scenes = [closes(1011), stay]
    async with playing(*scenes) as there, Listener(there.url, token=Provider(2.0), backoff=QUICK) as listener:
        await come(listener, 3)
        assert shown(there) == ["Bearer t1", "Bearer t2"]


@pytest.mark.parametrize("who_says", ["the provider", "the server"])
async def test_a_token_is_renewed_on_the_connection_before_it_expires(who_says: str) -> None:
    frames: list[Any] = []

    async def renews(visit: Visit) -> None:
        await visit.greet()
        while len(frames) < 3:
            frames.append(await visit.heard())
            ends = time.time() + (0.6 if len(frames) < 3 else 600)
            await visit.say({"kind": "auth", "expires_at": ends})
        await visit.say(broadcast(1))
        await visit.until_left()

    provider = Provider(0.6 if who_says == "the provider" else None)
    async with (
        playing(renews) as there,
        Listener(there.url, token=provider, timing=Timing(min_refresh_pause_s=0.1)) as listener,
    ):
        _, item = await come(listener, 2)
        assert isinstance(item, Broadcast)
        # If the provider gives no expiry time, the client learns it by sending the same token once more.
        first = 2 if who_says == "the provider" else 1
        assert frames == [{"auth": f"t{number}"} for number in range(first, first + 3)]
        assert shown(there) == ["Bearer t1"]


@pytest.mark.parametrize("is_fresh", [True, False])
async def test_a_token_is_sent_again_after_the_server_could_not_verify_it(is_fresh: bool) -> None:
    frames: list[Any] = []

    async def shy(visit: Visit) -> None:
        await visit.greet()
        frames.append(await visit.heard())
        await visit.say({"kind": "error", "code": "unavailable", "detail": "Send it again."})
        frames.append(await visit.heard())
        await visit.say({"kind": "auth", "expires_at": None}, broadcast(1))
        await visit.until_left()

    provider = Provider() if is_fresh else lambda: "t1"
    async with (
        playing(shy) as there,
        Listener(there.url, token=provider, timing=Timing(refresh_retry_s=0.1)) as listener,
    ):
        _, item = await come(listener, 2)
        assert isinstance(item, Broadcast)
        assert frames == [{"auth": "t1"}, {"auth": "t2" if is_fresh else "t1"}]


async def test_an_unchanged_token_is_not_sent_again() -> None:
    frames: list[Any] = []
    asked: list[str] = []

    def provider() -> str:
        asked.append("")
        return "t1" if len(asked) < 5 else "t2"

    async def renews(visit: Visit) -> None:
        await visit.greet()
        while {"auth": "t2"} not in frames:
            frames.append(await visit.heard())
            await visit.say({"kind": "auth", "expires_at": time.time() + (0.5 if len(frames) < 2 else 600)})
        await visit.say(broadcast(1))
        await visit.until_left()

    async with (
        playing(renews) as there,
        Listener(there.url, token=provider, timing=Timing(min_refresh_pause_s=0.05, refresh_retry_s=0.05)) as listener,
    ):
        _, item = await come(listener, 2)
        assert isinstance(item, Broadcast)
        # The first frame asks for the expiry time; after that the provider was called four times.
        assert frames == [{"auth": "t1"}, {"auth": "t2"}]
        assert len(asked) == 5


async def test_a_provider_that_fails_on_a_live_connection_is_called_again() -> None:
    asked: list[str] = []

    def provider() -> Token:
        asked.append("")
        if len(asked) in (2, 3):
            raise OSError("the issuer is away")
        return Token(f"t{len(asked)}", time.time() + 2)

    async def waits(visit: Visit) -> None:
        await visit.greet()
        assert await visit.heard() == {"auth": "t4"}
        await visit.say(broadcast(1))
        await visit.until_left()

    async with (
        playing(waits) as there,
        Listener(there.url, token=provider, timing=Timing(refresh_retry_s=0.1)) as listener,
    ):
        _, item = await come(listener, 2)
        assert isinstance(item, Broadcast)


async def test_an_error_of_the_provider_before_connecting_reaches_the_caller() -> None:
    def provider() -> str:
        raise KeyError("no such user")

    async with playing(stay) as there, Listener(there.url, token=provider) as listener:
        with pytest.raises(KeyError):
            await come(listener, 1)
        assert there.came == []


# --- secrets --------------------------------------------------------------------------------------------------


async def test_a_token_invalid_as_a_header_is_not_repeated_in_the_error() -> None:
    async with playing(stay) as there, Listener(there.url, token="SECRET\n") as listener:
        with pytest.raises(Stopped, match="Authorization") as stopped:
            await come(listener, 1)
    assert "SECRET" not in stopped.value.reason


@pytest.mark.parametrize("proxy", ["http://user:SECRET@proxy:1/path", "http://user:SECRET", "http://u:SECRET@[h"])
async def test_an_invalid_proxy_is_not_repeated_in_the_error(proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ws_proxy", proxy)
    monkeypatch.setenv("no_proxy", "")
    async with Listener("ws://herald.example") as listener:
        with pytest.raises(Stopped, match="proxy") as stopped:
            await come(listener, 1)
    assert "SECRET" not in stopped.value.reason


async def test_an_invalid_address_is_not_repeated_in_the_error() -> None:
    async with Listener("ws://SECRET@herald.example/ws?token=SECRET") as listener:
        with pytest.raises(Stopped, match="address") as stopped:
            await come(listener, 1)
    assert "SECRET" not in stopped.value.reason


async def test_no_secret_is_logged_at_debug_level(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    asked: list[str] = []

    def provider() -> Token:
        asked.append("")
        if len(asked) == 2:
            raise OSError("https://issuer/?client_secret=SECRET")
        return Token(f"SECRET{len(asked)}", time.time() + 2)

    async def renews(visit: Visit) -> None:
        await visit.greet()
        await visit.heard()
        await visit.say(broadcast(1))
        await visit.until_left()

    async with (
        playing(renews) as there,
        Listener(f"{there.url}/ws?key=SECRET", token=provider, timing=Timing(refresh_retry_s=0.05)) as listener,
    ):
        await come(listener, 2)
    # The server's own log lines belong to the test, not to the client.
    said = [record for record in caplog.records if record.name != "websockets.server"]
    assert any("No new token" in record.message for record in said)
    assert "SECRET" not in "".join(logging.Formatter().format(record) for record in said)


# --- many clients ---------------------------------------------------------------------------------------------


async def test_hundreds_of_clients_share_a_process_without_leaking_tasks() -> None:
    before = len(asyncio.all_tasks())
    counts: list[int] = []

    async def follow(url: str) -> None:
        async with Listener(url, backoff=QUICK) as listener:
            items = await come(listener, 4)
            counts.append(len(asyncio.all_tasks()))
            assert numbers(items) == [1, 2, 3]

    async with playing(sends(broadcast(1), [broadcast(2), broadcast(3)], positions={"news": 0})) as there:
        await asyncio.gather(*(follow(there.url) for _ in range(300)))
    # Per client: the caller's task, and the tasks of the test server (its handler), and few more.
    assert max(counts) < before + 300 * 3 + 10
    await asyncio.sleep(0)
    assert len(asyncio.all_tasks()) <= before + 1
