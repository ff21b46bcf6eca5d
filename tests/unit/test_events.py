"""Reading a message: its identity, type and time, and how invalid messages are handled."""

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.events import MAX_CLOCK_SKEW, MAX_ID_LENGTH, Undecoded, Unreadable, as_id, as_time, read_event
from domain.payload_paths import at_path
from tests.support.core import NOW, message

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


# --- identity -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("payload", "id"),
    [
        ({"event_id": "a", "eventId": "b", "id": "c"}, "a"),
        ({"eventId": "b", "id": "c"}, "b"),
        ({"event_id": 17}, "17"),
        ({"event_id": ""}, "place"),
        ({"event_id": None, "eventId": "b"}, "b"),
        ({"event_id": True}, "place"),
        ({"event_id": 1.5}, "place"),
        ({"event_id": ["a"]}, "place"),
        ({"event_id": "x" * MAX_ID_LENGTH}, "x" * MAX_ID_LENGTH),
        ({"event_id": "x" * (MAX_ID_LENGTH + 1)}, "place"),
        ({"id": "c"}, "place"),
        ({}, "place"),
        ([{"event_id": "a"}], "place"),
    ],
)
def test_the_event_id_is_from_the_payload_or_the_broker_offset(payload: Any, id: str) -> None:
    assert read_event(message("topic", payload, "place")).id == id


def test_the_id_field_of_a_route_comes_after_the_payloads_own_id() -> None:
    assert read_event(message("topic", {"id": "c"}, "place"), "id").id == "c"
    assert read_event(message("topic", {"event_id": "a", "id": "c"}, "place"), "id").id == "a"
    assert read_event(message("topic", {"product": {"id": 7}}, "place"), "product.id").id == "7"
    assert read_event(message("topic", {"data": {"id": 7}}, "place"), "id").id == "7"
    assert read_event(message("topic", {"id": {}}, "place"), "id").id == "place"


def test_a_binary_cloudevent_is_identified_by_its_headers() -> None:
    headers = {
        "ce_specversion": "1.0",
        "ce_id": "ce-1",
        "ce_source": "/shop",
        "ce_type": "made",
        "ce_time": "2026-02-01T00:00:00Z",
    }
    sent = message("topic", {"event_id": "own", "type": "other", "time": "2020-01-01T00:00:00Z"}, headers=headers)
    event = read_event(sent, "event_id")
    assert (event.id, event.origin, event.source, event.type) == ("ce-1", "/shop", "topic", "made")
    assert event.time == datetime(2026, 2, 1, tzinfo=UTC)
    assert event.payload == json.loads(sent.body or b"")


def test_headers_without_a_version_are_no_cloudevent() -> None:
    event = read_event(message("topic", {"event_id": "own"}, headers={"ce_id": "x", "ce_source": "y"}))
    assert (event.id, event.origin) == ("own", "topic")


def test_a_structured_cloudevent_is_its_data_identified_by_its_envelope() -> None:
    event = read_event(
        message("topic", {"specversion": "1.0", "id": 5, "source": "/s", "type": "t", "data": {"a": 1, "event_id": 9}})
    )
    assert (event.id, event.origin, event.type, event.payload) == ("5", "/s", "t", {"a": 1, "event_id": 9})
    assert json.loads(event.text) == event.payload


def test_text_data_of_a_structured_cloudevent_is_the_text_itself() -> None:
    envelope = {"specversion": "1.0", "id": "5", "source": "/s", "type": "t"}
    assert read_event(message("topic", {**envelope, "data": "BUY now"})).text == "BUY now"
    assert read_event(message("topic", {**envelope, "data": '{"a":1}'})).payload == {"a": 1}


def test_numbers_in_a_structured_cloudevent_keep_every_digit() -> None:
    # As in plain_envelopes.py, JSON is cut out of the payload unchanged, not serialized again.
    body = '{"specversion":"1.0","id":"1","source":"s","data":{"price":1.10,"big":1e2,"n":12345678901234567890.0}}'
    assert json.loads(read_event(message("topic", body)).text, parse_float=str) == {
        "price": "1.10",
        "big": "1e2",
        "n": "12345678901234567890.0",
    }


def test_two_origins_may_use_the_same_id() -> None:
    one, other = (read_event(message(topic, {"event_id": "a"})) for topic in ("x", "y"))
    assert (one.origin, one.id) != (other.origin, other.id)


@given(st.text() | st.integers() | st.floats() | st.booleans() | st.none() | st.lists(st.text()))
def test_an_id_is_text_of_limited_length_or_an_integer(value: Any) -> None:
    id = as_id(value)
    if type(value) is str and 0 < len(value) <= MAX_ID_LENGTH:
        assert id == value
    elif type(value) is int:
        assert id == str(value)
    else:
        assert id is None


@given(st.integers(min_value=-(10**600), max_value=10**600))
def test_no_id_exceeds_the_maximum_length(value: int) -> None:
    assert len(as_id(value) or "") <= MAX_ID_LENGTH


# --- type -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("payload", "type"),
    [
        ({"event_type": "a", "type": "b", "eventType": "c"}, "a"),
        ({"type": "b", "eventType": "c"}, "b"),
        ({"eventType": "c"}, "c"),
        ({"event_type": "", "type": "b"}, "b"),
        ({"event_type": 5, "type": "b"}, "b"),
        ({"type": 5}, None),
        ({}, None),
        ("text", None),
    ],
)
def test_the_type_is_from_the_payload(payload: Any, type: str | None) -> None:
    assert read_event(message("topic", payload)).type == type


# --- time -----------------------------------------------------------------------------------------------------

MOMENT = datetime(2026, 2, 28, 10, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    "value",
    [
        "2026-02-28T10:30:00Z",
        "2026-02-28T10:30:00.000Z",
        "2026-02-28T10:30:00",
        "2026-02-28T12:30:00+02:00",
        MOMENT.timestamp(),
        int(MOMENT.timestamp()),
        int(MOMENT.timestamp() * 1000),
        str(int(MOMENT.timestamp())),
        str(int(MOMENT.timestamp() * 1000)),
        f"{MOMENT.timestamp():.3f}",
        f"{MOMENT.timestamp() * 1000:.1f}",
    ],
)
@pytest.mark.parametrize("place", ["timestamp", "time", "data.timestamp"])
def test_the_time_is_from_the_payload_in_any_notation(value: Any, place: str) -> None:
    payload = {"data": {"timestamp": value}} if place == "data.timestamp" else {place: value}
    assert read_event(message("topic", payload)).time == MOMENT


@pytest.mark.parametrize(
    "value",
    [
        "yesterday",
        "",
        None,
        True,
        [],
        {},
        10**30,
        "9" * 40,
        "20260228",
        "5",
        5,
        "1772274600000000",
        "٣" * 10,
        -(10**30),
        1e308,
    ],
)
def test_an_invalid_time_is_replaced_by_the_brokers(value: Any) -> None:
    assert read_event(message("topic", {"timestamp": value})).time == NOW


def test_a_future_time_is_accepted_within_the_clock_skew_only() -> None:
    near, far = NOW + MAX_CLOCK_SKEW, NOW + MAX_CLOCK_SKEW + timedelta(milliseconds=1)
    assert read_event(message("topic", {"timestamp": near.isoformat()})).time == near
    assert read_event(message("topic", {"timestamp": far.isoformat()})).time == NOW


@given(JSON)
def test_reading_a_time_never_raises_and_returns_utc(value: Any) -> None:
    time = as_time(value, NOW)
    assert time is None or time.utcoffset() == timedelta(0)


OFFSETS = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@given(st.datetimes(timezones=OFFSETS | st.none()))
def test_any_iso_time_is_read_exactly_or_not_at_all(time: datetime) -> None:
    read = as_time(time.isoformat(), NOW)
    if read is not None:
        assert read == (time.replace(tzinfo=UTC) if time.tzinfo is None else time)


# --- paths ----------------------------------------------------------------------------------------------------


def test_a_path_is_looked_up_in_the_payload_first_and_then_in_data() -> None:
    assert at_path({"a": {"b": 1}}, "a.b") == 1
    assert at_path({"data": {"a": {"b": 1}}}, "a.b") == 1
    assert at_path({"a": 2, "data": {"a": 1}}, "a") == 2
    assert at_path({"a": None, "data": {"a": 1}}, "a") == 1
    assert at_path({"a.b": 1}, "a.b") == 1
    assert at_path({"data": ["a"]}, "a") is None


@given(JSON, st.text(max_size=12))
def test_looking_up_a_path_never_raises(payload: Any, path: str) -> None:
    at_path(payload, path)


# --- invalid input --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "limit", "reason"),
    [
        (None, 0, "tombstone"),
        (b"12345", 4, "too_large"),
        (b"\xff\xfe", 0, "not_utf8"),
        (b'{"a":"\xc3"}', 0, "not_utf8"),
    ],
)
def test_an_unreadable_body_has_a_reason(body: bytes | None, limit: int, reason: str) -> None:
    with pytest.raises(Unreadable) as caught:
        read_event(message("topic", body), max_bytes=limit)
    assert caught.value.reason == reason
    assert caught.value.detail


def test_an_event_of_exactly_the_limit_is_read() -> None:
    assert read_event(message("topic", b"1234"), max_bytes=4).payload == 1234


@pytest.mark.parametrize(
    "text",
    ["", "no json", "{", "NaN", '{"a":1e400}', '{"a":NaN}', "[" * 10_000 + "]" * 10_000, '{"a":"\\ud800"}', "1" * 5000],
)
def test_text_that_is_no_json_is_kept_as_text(text: str) -> None:
    event = read_event(message("topic", text, "place"))
    assert event.text == text
    assert isinstance(event.payload, Undecoded)
    assert event.payload.why
    assert (event.id, event.type, event.time) == ("place", None, NOW)


@given(st.binary() | JSON.map(lambda value: json.dumps(value).encode()))
def test_reading_raises_only_unreadable(body: bytes) -> None:
    try:
        event = read_event(message("topic", body, "place"), "id")
    except Unreadable:
        return
    assert event.id
    assert event.time.utcoffset() == timedelta(0)


@given(
    JSON, st.dictionaries(st.sampled_from(["ce_specversion", "ce_id", "ce_source", "ce_time", "ce_type"]), st.text())
)
def test_no_header_or_envelope_makes_reading_raise(data: Any, headers: dict[str, str]) -> None:
    read_event(message("topic", json.dumps(data), headers=headers))
    read_event(message("topic", {"specversion": data, "id": data, "source": data, "time": data, "data": data}))
