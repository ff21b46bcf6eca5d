"""The Python client: what follows the end of a connection, how long it waits, and where it connects."""

import asyncio
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.protocol.herald_v1 import CloseCode
from herald_client.addresses import address, with_cursor, without_secrets
from herald_client.backoff import Backoff
from herald_client.connection_end import ConnectionEnded, Reaction, after_close, after_refusal, retry_after
from herald_client.reconnection import Reconnection

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


# --- reactions ---------------------------------------------------------------------------------------------


@given(st.integers(1000, 4999))
def test_only_stop_codes_and_a_too_large_frame_stop(code: int) -> None:
    reaction = after_close(code, "").reaction
    assert (reaction is Reaction.STOP) == (code == 1009 or code >= 4500)
    assert (reaction is Reaction.NEW_TOKEN) == (code == 4401)


@pytest.mark.parametrize("code", CloseCode)
def test_the_close_codes_of_the_service_have_the_reactions_of_its_table(code: CloseCode) -> None:
    stop = code in (CloseCode.TOO_LARGE, *(one for one in CloseCode if one >= 4500))
    assert (after_close(code, "why").reaction is Reaction.STOP) == stop
    assert after_close(code, "why").reason == "why"


@pytest.mark.parametrize("code", [1000, 1005, 1006, 1012, 3000])
def test_an_end_without_a_reason_gets_one(code: int) -> None:
    assert after_close(code, "").reason


@pytest.mark.parametrize(
    ("status", "reaction"),
    [
        *((status, Reaction.RECONNECT) for status in (408, 425, 429, 500, 502, 503, 504, 599)),
        *((status, Reaction.STOP) for status in (200, 204, 304, 400, 403, 404, 410, 422, 426)),
        (401, Reaction.NEW_TOKEN),
    ],
)
def test_a_refusal_is_final_unless_it_is_temporary(status: int, reaction: Reaction) -> None:
    end = after_refusal(status, {}, b"", "Phrase")
    assert (end.reaction, end.code, end.wait_s) == (reaction, status, None)
    assert end.reason == f"refused with {status} Phrase"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b'{"title": "Origin refused.", "detail": "Not from here."}', "Origin refused: Not from here."),
        (b'{"title": "Origin refused"}', "Origin refused"),
        (b'{"detail": "Not from here."}', "Not from here."),
        (b'{"title": 5}', "refused with 403 No"),
        (b"<html>", "refused with 403 No"),
        (b"[]", "refused with 403 No"),
    ],
)
def test_a_refusal_has_the_text_of_its_problem(body: bytes, reason: str) -> None:
    assert after_refusal(403, {}, body, "No").reason == reason


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("3", 3.0),
        (" 120 ", 120.0),
        ("Sun, 01 Mar 2026 12:00:30 GMT", 30.0),
        ("Sun, 01 Mar 2026 11:00:00 GMT", 0.0),
        ("Sun, 01 Mar 2026 12:00:30 -0000", 30.0),
        ("-3", None),
        ("soon", None),
        ("３", None),
        ("", None),
        (None, None),
    ],
)
def test_retry_after_is_seconds_or_a_date(value: str | None, seconds: float | None) -> None:
    assert retry_after(value, NOW) == seconds


# --- waits and addresses ---------------------------------------------------------------------------------------


@given(st.integers(1, 10**9))
def test_a_wait_is_below_a_bound_that_doubles_up_to_a_limit(failures: int) -> None:
    backoff = Backoff(0.2, 15.0)
    assert backoff.bound(failures) == (min(15.0, 0.2 * 2 ** (failures - 1)) if failures < 10 else 15.0)
    assert 0 <= backoff.delay(failures) <= backoff.bound(failures)


def test_waits_are_spread_over_the_whole_bound() -> None:
    waits = [Backoff(8.0, 8.0).delay(1) for _ in range(2_000)]
    assert min(waits) < 1
    assert max(waits) > 7


async def test_attempts_rotate_and_the_first_address_is_random() -> None:
    names = ["ws://a/ws", "ws://b/ws", "ws://c/ws"]
    assert {Reconnection(names, Backoff()).address for _ in range(200)} == set(names)
    reconnection = Reconnection(names, Backoff())
    first = names.index(reconnection.address)
    for turn in range(1, 7):
        left = reconnection.url
        away = reconnection.failed(ConnectionEnded("why"))
        assert (away.url, away.next_url) == (left, reconnection.url)
        assert reconnection.address == names[(first + turn) % 3]


async def test_the_delay_of_the_service_applies_and_is_not_extended_if_jittered() -> None:
    reconnection = Reconnection(["ws://a/ws"], Backoff(5.0, 5.0))
    assert reconnection.failed(ConnectionEnded("bye", wait_s=1.5, is_jittered=True)).retry_in == 1.5
    assert reconnection.failed(ConnectionEnded("bye", wait_s=0.0, is_jittered=True)).retry_in == 0.0
    waits = [reconnection.failed(ConnectionEnded("503", wait_s=2.0)).retry_in for _ in range(200)]
    assert all(2.0 <= wait <= 7.0 for wait in waits)
    assert max(waits) > 5
    assert any(reconnection.failed(ConnectionEnded("bye", is_jittered=True)).retry_in > 0 for _ in range(50))


async def test_the_backoff_is_reset_by_success() -> None:
    reconnection = Reconnection(["ws://a/ws"], Backoff(0.001, 60.0))
    for _ in range(60):
        reconnection.failed(ConnectionEnded("why"))
    reconnection.succeeded()
    assert reconnection.failed(ConnectionEnded("why")).retry_in <= 0.001
    async with asyncio.timeout(10):
        await reconnection.wait()


# --- addresses ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://herald:8000", "ws://herald:8000/ws"),
        ("https://herald.example/", "wss://herald.example/ws"),
        ("ws://[::1]:80/ws/notifications", "ws://[::1]:80/ws/notifications"),
        (" wss://a/b/?x=1&y= ", "wss://a/b?x=1&y="),
        ("https://shop.example/herald", "wss://shop.example/herald/ws"),
        ("http://shop.example/a/herald/", "ws://shop.example/a/herald/ws"),
        ("https://shop.example/news", "wss://shop.example/news/ws"),
        ("https://herald.example/ws", "wss://herald.example/ws"),
        ("https://shop.example/herald/ws/notifications", "wss://shop.example/herald/ws/notifications"),
        (
            "https://shop.example/herald/ws/v2/notification-service/notifications/users/ada",
            "wss://shop.example/herald/ws/v2/notification-service/notifications/users/ada",
        ),
    ],
)
def test_an_address_is_derived_from_a_service_or_socket_url(url: str, expected: str) -> None:
    assert address(url) == expected


def test_options_are_sent_in_the_query() -> None:
    assert address("http://h?x=1", "u&v", ["a", "b"], ["t"]) == "ws://h/ws?x=1&user_id=u%26v&feeds=a%2Cb&types=t"
    assert address("http://h", feeds=[]) == "ws://h/ws?feeds="
    assert with_cursor("ws://h/ws?x=1", "1.e..a:1") == "ws://h/ws?x=1&cursor=1.e..a%3A1"


@pytest.mark.parametrize(
    ("address", "seen"),
    [
        ("wss://u:p@h:1/ws?token=t", "wss://h:1/ws"),
        ("https://h/a@b/ws#token=t", "https://h/a@b/ws"),
        ("//u:p@h/ws", "//h/ws"),
        ("/ws?next=//u:p@h", "/ws"),
        ("ws://u:p@[h/ws?token=t", "ws://[h/ws"),
    ],
)
def test_the_displayed_address_has_no_query_and_password(address: str, seen: str) -> None:
    assert without_secrets(address) == seen


@pytest.mark.parametrize("url", ["", "herald:8000", "ftp://h", "http://", "http://h:0", "http://h:x", "http://h/#a"])
def test_an_invalid_address_is_an_error(url: str) -> None:
    with pytest.raises(ValueError, match=r"URL|[Pp]ort"):
        address(url)


@pytest.mark.parametrize(
    "url",
    [
        "herald:8000?token=SECRET",
        "http://u:SECRET@[h",
        "http://u:SECRET/4@h",
        "http://u:SECRET@h#a",
        "http://h:0/?SECRET",
    ],
)
def test_an_invalid_address_is_reported_without_its_secrets(url: str) -> None:
    with pytest.raises(ValueError, match="is not a URL") as refused:
        address(url)
    assert "SECRET" not in str(refused.value)


def test_an_address_is_required() -> None:
    with pytest.raises(ValueError, match="no URL"):
        Reconnection([], Backoff())
