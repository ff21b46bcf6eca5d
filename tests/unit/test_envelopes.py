"""Envelopes: what a plain client receives, cut out of the payload as it was sent."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.events import Unreadable, read_event
from domain.omissions import make_omission
from domain.payload_paths import values_at
from domain.protocol.plain_envelopes import data_text, make_body, plain_text, to_rfc3339
from domain.streams import Content, Envelope
from tests.support.core import NOW, entry, message
from tests.unit.test_events import JSON

OBJECT = st.dictionaries(st.text(max_size=8), JSON, max_size=6)
ENVELOPES: tuple[Envelope, ...] = ("raw", "typed", "event", "flat")

# Floats and numbers in their original notation, so that a lost digit is detected.
DIGITS = '{"price":1.10,"rate":1e2,"id":123456789012345678901234567890,"small":1E-7,"zero":-0.0}'


def exact(text: str) -> Any:
    return json.loads(text, parse_float=str, parse_int=str, object_pairs_hook=list)


def sent(payload: Any, envelope: Envelope, omit: Sequence[str] = ()) -> str:
    """Return what a plain client receives for a payload."""
    body = make_body(read_event(message("t", payload)), envelope, make_omission(omit))
    return plain_text(entry(body, envelope=envelope, type="T"))


@pytest.mark.parametrize("envelope", ENVELOPES)
def test_numbers_keep_every_digit_and_fields_their_order(envelope: Envelope) -> None:
    received = exact(sent(DIGITS, envelope))
    if envelope in ("typed", "event"):
        received = received[1][1]
    elif envelope == "flat":
        received = received[:-1]
    assert received == exact(DIGITS)


@pytest.mark.parametrize("envelope", ["typed", "event"])
def test_data_is_the_payloads_data_object_if_it_has_one(envelope: Envelope) -> None:
    inner = '{"z":1.0,"type":"kept","a":2}'
    received = json.loads(sent('{"event_type":"x","data":' + inner + ',"rest":1}', envelope))
    assert received == {"type" if envelope == "typed" else "event_type": "T", "data": json.loads(inner)}
    assert list(received["data"]) == ["z", "type", "a"]


@pytest.mark.parametrize("data", ["[1]", '"text"', "5", "null"])
def test_data_that_is_no_object_is_a_field_like_others(data: str) -> None:
    received = json.loads(sent('{"type":"x","data":' + data + ',"rest":1}', "typed"))
    assert received["data"] == {"data": json.loads(data), "rest": 1}


def test_without_data_the_payload_loses_its_type_and_omitted_fields() -> None:
    payload = {"event_type": 1, "type": 2, "eventType": 3, "a": 4, "b": 5, "c": {"b": 6}}
    assert json.loads(sent(payload, "event", ("b",)))["data"] == {"a": 4, "c": {"b": 6}}


def test_omitted_fields_are_left_out_of_data_too() -> None:
    payload = {"receivers": ["u"], "data": {"receivers": ["u"], "a": 1}}
    assert json.loads(sent(payload, "event", ("receivers",)))["data"] == {"a": 1}


@pytest.mark.parametrize(
    ("omit", "payload", "left"),
    [
        (["t.w"], '{"t":{"w":[1],"n":1.10},"w":2}', '{"t":{"n":1.10},"w":2}'),
        (["t.w", "t.x.y", "t.x"], '{"t":{"w":1,"x":{"y":1}}}', '{"t":{}}'),
        (["l[].a", "l[].b.c"], '{"l":[{"a":1,"b":{"c":2,"d":1e2}},5,[6]]}', '{"l":[{"b":{"d":1e2}},5,[6]]}'),
        (["l[][].a"], '{"l":[[{"a":1,"b":2}],3]}', '{"l":[[{"b":2}],3]}'),
        (["t.l[]"], '{"t":{"l":[1],"m":2}}', '{"t":{"m":2}}'),
        # Without [], a path does not lead into a list; nor does [] into an object, or a name into a text.
        (["l.a", "t[].a", "s.a"], '{"l":[{"a":1}],"t":{"a":1},"s":"a"}', '{"l":[{"a":1}],"t":{"a":1},"s":"a"}'),
        # A field whose name is the path has precedence.
        (["a.b", "c.d"], '{"a.b":1,"a":{"b":2},"c":{"d":3}}', '{"a":{"b":2},"c":{}}'),
        (["l[]"], '{"l[]":1,"l":[2]}', '{"l":[2]}'),
        # Fields that are sent twice are left out twice.
        (["t.w"], '{"t":{"w":1,"\\u0077":2,"n":3}}', '{"t":{"n":3}}'),
    ],
)
def test_omitted_paths_lead_into_objects_and_lists(omit: list[str], payload: str, left: str) -> None:
    received = {"event": f'{{"event_type":"T","data":{left}}}', "flat": f'{left[:-1]},"broadcastTimestamp"'}
    assert sent(payload, "event", omit) == received["event"]
    assert sent(payload, "flat", omit).startswith(received["flat"])
    wrapped = f'{{"data":{payload}}}'
    for paths in (omit, [f"data.{path}" for path in omit]):
        assert sent(wrapped, "typed", paths) == f'{{"type":"T","data":{left}}}'
    if "." in omit[0]:
        assert sent(wrapped, "flat", omit).startswith(f'{{"data":{left},"broadcastTimestamp"')


# An empty list is left out, but has no values by which that could be seen.
NESTED: st.SearchStrategy[Any] = st.recursive(
    st.integers(0, 9),
    lambda inner: st.lists(inner, min_size=1, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner),
)
OUTER_NAMES = st.lists(st.sampled_from(["a", "b", "c", "a[]", "b[][]"]), min_size=1, max_size=3)
PATHS = st.tuples(OUTER_NAMES, st.sampled_from("abc")).map(lambda names: ".".join([*names[0], names[1]]))


@given(st.dictionaries(st.sampled_from(["a", "b", "data"]), NESTED), PATHS, st.sampled_from(["typed", "flat"]))
def test_what_is_omitted_is_at_its_path_no_more(payload: dict[str, Any], path: str, envelope: Envelope) -> None:
    received, before = (json.loads(sent(payload, envelope, omit)) for omit in ([path], []))
    assert values_at(received, path) == []
    if values_at(payload, path) == []:
        assert received == before


def test_flat_is_the_payload_followed_by_the_time_of_storing() -> None:
    received = json.loads(sent({"type": "t", "broadcastTimestamp": "old", "data": {"a": 1}, "b": 1}, "flat", ("b",)))
    assert list(received.items()) == [("type", "t"), ("data", {"a": 1}), ("broadcastTimestamp", to_rfc3339(NOW))]
    assert json.loads(sent({}, "flat")) == {"broadcastTimestamp": to_rfc3339(NOW)}


@given(st.text())
def test_raw_is_the_unchanged_text_of_the_event(text: str) -> None:
    assert sent(text, "raw") == text


@given(OBJECT, st.sampled_from(["typed", "event", "flat"]), st.lists(st.text(max_size=3), max_size=3))
def test_every_object_is_one_object_in_every_envelope(
    payload: dict[str, Any], envelope: Envelope, omit: list[str]
) -> None:
    text = sent(json.dumps(payload, indent=2), envelope, omit)
    assert "\n" not in text
    received = json.loads(text)
    if envelope == "flat":
        expected = {key: value for key, value in payload.items() if key not in omit}
        assert received == {**expected, "broadcastTimestamp": to_rfc3339(NOW)}
    else:
        inner = payload.get("data")
        base = inner if isinstance(inner, dict) else payload
        gone = set(omit) if base is inner else {*omit, "type", "event_type", "eventType"}
        assert received["data"] == {key: value for key, value in base.items() if key not in gone}


@pytest.mark.parametrize("envelope", ["typed", "event", "flat"])
@pytest.mark.parametrize(("text", "reason"), [("BUY", "not_json"), ("[1]", "not_an_object"), ("5", "not_an_object")])
def test_a_payload_without_fields_is_valid_in_raw_only(envelope: Envelope, text: str, reason: str) -> None:
    with pytest.raises(Unreadable) as caught:
        sent(text, envelope)
    assert caught.value.reason == reason


@given(st.text('ab"\\\n\u2028é😀', min_size=1))
def test_a_type_is_quoted(type: str) -> None:
    one = entry("{}", envelope="typed", type=type)
    assert json.loads(plain_text(one)) == {"type": type, "data": {}}


# --- herald.v1 ------------------------------------------------------------------------------------------------


def content(body: str, envelope: Envelope) -> Content:
    return entry(body, envelope=envelope).content


@given(st.text() | JSON.map(json.dumps) | JSON.map(lambda value: json.dumps(value, indent=1)))
def test_data_of_raw_is_compact_json_or_a_json_string(text: str) -> None:
    data = data_text(content(text, "raw"))
    assert "\n" not in data
    try:
        expected = json.loads(text, parse_constant=lambda _: 1 / 0)
    except (ValueError, ZeroDivisionError):
        assert json.loads(data) == text
    else:
        assert json.loads(data) in (expected, text)


def test_data_of_flat_is_as_in_the_other_envelopes() -> None:
    assert json.loads(data_text(content('{"type":"x","a":1}', "flat"))) == {"a": 1}
    assert json.loads(data_text(content('{"type":"x","data":{"a":1}}', "flat"))) == {"a": 1}


def test_text_nested_too_deeply_is_a_string() -> None:
    text = "[" * 10_000 + "]" * 10_000
    assert json.loads(data_text(content(text, "raw"))) == text


@given(st.datetimes(timezones=st.just(UTC)))
def test_times_are_formatted_as_by_javascript(time: datetime) -> None:
    text = to_rfc3339(time)
    assert len(text) == len("2026-03-01T12:00:00.000Z")
    assert datetime.fromisoformat(text) == time.replace(microsecond=time.microsecond // 1000 * 1000)
