"""What clients receive and send: frames of herald.v1, event streams, commands."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.caller_errors import InvalidInput
from domain.endpoints import Endpoint
from domain.positions import Cursor
from domain.protocol import herald_v1 as protocol
from domain.protocol.commands import Resume, read_command
from domain.protocol.entry_kinds import View, protocol_text
from domain.protocol.herald_v1 import CloseCode, CloseReason, sse_block
from domain.protocol.plain_stream_messages import PlainMessages
from entrypoints.profiles.backward_compatibility import compatibility
from tests.support.core import NOW, entry, events_in
from tests.unit.test_events import JSON

TEXT = st.text() | st.text('a\n\r\u2028\u2029"\\\0: ')


# --- frames ---------------------------------------------------------------------------------------------------


@given(TEXT, TEXT, TEXT, TEXT, st.sampled_from(["inbox:u", "feed:news"]))
def test_every_entry_is_one_line_of_json(body: str, type: str, title: str, words: str, stream: str) -> None:
    one = entry(body, envelope="raw", stream=stream, type=type, title=title, message=words, seq=5, unread=3)
    text = protocol_text(one)
    assert "\n" not in text
    assert "\r" not in text
    object = json.loads(text)
    assert (object["seq"], object["id"], object["type"], object["event_id"]) == (5, str(one.id), type, "e-5")
    assert "changed" not in object
    if stream == "feed:news":
        assert (object["kind"], object["stream"]) == ("broadcast", "news")
    else:
        assert (object["kind"], object["stream"]) == ("notification", "inbox")
        assert (object["title"], object["message"], object["read"], object["unread"]) == (title, words, False, 3)


@pytest.mark.parametrize("kind", ["read", "unread", "archived"])
def test_a_change_has_its_own_position_and_the_unread_total(kind: Any) -> None:
    one = entry(stream="inbox:u", seq=5, changed=9, kind=kind, unread=2)
    assert json.loads(protocol_text(one)) == {
        "kind": kind,
        "stream": "inbox",
        "seq": 5,
        "changed": 9,
        "id": str(one.id),
        "unread": 2,
    }


@given(TEXT, st.dictionaries(TEXT, st.integers(0)), st.lists(TEXT).map(tuple))
def test_all_other_objects_are_one_line_of_json(text: str, positions: dict[str, int], gaps: tuple[str, ...]) -> None:
    for frame, kind in [
        (protocol.hello(text, text, positions, text, 30.0, True, gaps, 7, 0), "hello"),
        (protocol.gap(text, 1, 2), "gap"),
        (protocol.heartbeat(NOW, text), "heartbeat"),
        (protocol.pong(msgspec.Raw(json.dumps(text).encode())), "pong"),
        (protocol.error(text, text), "error"),
        (protocol.authenticated(5.5), "auth"),
        (protocol.bye(CloseReason(CloseCode.RESTARTING, text, 0.5)), "bye"),
        (PlainMessages({"type": text}, {}).connected_text(NOW, text, gaps), None),
        (PlainMessages({}, {"type": text}).heartbeat_text(NOW, text), None),
    ]:
        assert "\n" not in frame
        assert json.loads(frame).get("kind") == kind


ADDED = {"timestamp": "2026-03-01T12:00:00.000Z", "cursor": "c"}


def test_shipped_event_stream_messages_are_those_of_the_replaced_service_with_a_cursor() -> None:
    (endpoint,) = (one for one in compatibility().endpoints if one.transport == "sse")
    plain = PlainMessages.of(endpoint)
    connected = {"type": "connection", "message": "Connected to notifications stream", **ADDED}
    assert json.loads(plain.connected_text(NOW, "c", ())) == connected
    assert json.loads(plain.connected_text(NOW, "c", ("news",))) == {**connected, "gap": ["news"]}
    assert json.loads(plain.heartbeat_text(NOW, "c")) == {"type": "heartbeat", **ADDED}


def test_an_endpoint_chooses_the_messages_of_its_event_stream() -> None:
    own = Endpoint(name="x", path="/x", transport="sse", connected={"hello": [1]}, heartbeat={})
    assert json.loads(PlainMessages.of(own).connected_text(NOW, "c", ())) == {"hello": [1], **ADDED}
    assert json.loads(PlainMessages.of(own).heartbeat_text(NOW, "c")) == ADDED
    default = PlainMessages.of(Endpoint(name="x", path="/x", transport="sse"))
    assert json.loads(default.connected_text(NOW, "c", ())) == {"type": "connection", **ADDED}
    assert json.loads(default.heartbeat_text(NOW, "c")) == {"type": "heartbeat", **ADDED}


def test_bye_has_a_reconnect_delay_only_if_the_server_sets_one() -> None:
    assert json.loads(protocol.bye(CloseReason(CloseCode.RESTARTING, "r", 1.5))) == {
        "kind": "bye",
        "code": 1012,
        "reason": "r",
        "reconnect_in": 1.5,
    }
    assert "reconnect_in" not in json.loads(protocol.bye(CloseReason(CloseCode.SIGNED_OUT, "r")))


# --- event streams --------------------------------------------------------------------------------------------


@given(st.lists(TEXT, max_size=5))
def test_text_round_trips_through_an_event_stream_line_by_line(texts: list[str]) -> None:
    stream = "".join(f"id: c{number}\n{sse_block(text)}\n" for number, text in enumerate(texts))
    lines = [text.replace("\r\n", "\n").replace("\r", "\n") for text in texts]
    expected = [{"id": f"c{number}", "data": text} for number, text in enumerate(lines)]
    assert events_in(stream) == expected


@pytest.mark.parametrize("text", ["", "\n", "a\n", "\na", " a", "a\r\nb", "a\rb", "id: 5", "data: x\n\ndata: y"])
def test_no_text_ends_an_event_or_adds_a_field(text: str) -> None:
    assert len(events_in(f"{sse_block(text)}\n")) == 1


# --- views ----------------------------------------------------------------------------------------------------


def test_a_plain_view_shows_arrivals_of_its_profile_and_types_only() -> None:
    plain = View("ws", profile="trading", inbox_profile="groups", types=None)
    assert plain.shows(entry())
    assert not plain.shows(entry(stream="inbox:u"))
    assert not plain.shows(entry(kind="read"))
    assert not plain.shows(entry(muted=True))
    assert not View("ws", types=frozenset({"else"})).shows(entry())
    assert View("ws", types=frozenset({"news"})).shows(entry())
    assert not View("ws", profile="other").shows(entry())


def test_a_herald_v1_view_shows_every_profile_and_change_except_muted_ones() -> None:
    view = View("ws", protocol=True, profile="other", inbox_profile="other")
    assert view.shows(entry())
    assert view.shows(entry(kind="read", stream="inbox:u"))
    assert not view.shows(entry(muted=True))
    assert view.shows(entry(kind="archived", stream="inbox:u", muted=True))


# --- commands -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "{}",
        "[]",
        "5",
        "null",
        '{"resume":5}',
        '{"resume":{"positions":{"a":-1}}}',
        '{"auth":5}',
        '{"nope":1}',
        '{"resume":{"positions":{"a":1.5}}}',
        '{"resume":null}',
        "[" * 10_000,
        '{"ping":' * 10_000,
        b"",
        b"\xff",
        b'{"resume":{}}',
    ],
)
def test_an_invalid_command_is_refused(text: str | bytes) -> None:
    with pytest.raises(InvalidInput) as caught:
        read_command(text)
    assert caught.value.field == ("auth" if text == '{"auth":5}' else None)


@pytest.mark.parametrize(
    "text",
    [
        '{"auth":null}',
        '{"auth": null, "resume": {"cursor": "1.e..news:5"}}',
        '{"auth":null,"ping":1}',
        '{"auth":{"t":1}}',
        '{"auth":"t","nope":1}',
        '{"auth":"t","resume":{"cursor":5}}',
        '{"auth" : undefined}',
        '{"auth":' + "[" * 10_000,
        b'{"auth":"t"}',
        b'{"auth":null}',
        b'\xff"auth":',
    ],
)
def test_an_error_in_a_frame_with_a_token_names_the_field_auth(text: str | bytes) -> None:
    with pytest.raises(InvalidInput) as caught:
        read_command(text)
    assert caught.value.field == "auth"


def test_a_refused_command_does_not_repeat_a_token() -> None:
    with pytest.raises(InvalidInput) as caught:
        read_command('{"auth":["very-secret"]}')
    assert "very-secret" not in caught.value.detail


@given(TEXT | JSON.map(json.dumps) | JSON.map(lambda value: json.dumps({"ping": value})))
def test_every_client_message_can_be_answered(text: str) -> None:
    try:
        command = read_command(text)
    except InvalidInput:
        return
    object = json.loads(protocol.pong(command.ping))
    assert object["kind"] == "pong"
    echo = json.loads(text)["ping"]
    if echo is not None and echo is not True:
        assert object["ping"] == echo


@pytest.mark.parametrize("value", ["1e999", "0.10", "12345678901234567890.5", '{"b": [ 1 ],\n "a":"\\u0001"}'])
def test_a_pong_repeats_the_text_of_its_ping(value: str) -> None:
    echo = value.replace(" ", "").replace("\n", "")
    assert protocol.pong(read_command(f'{{"ping":{value}}}').ping) == f'{{"kind":"pong","ping":{echo}}}'


POSITIONS = st.dictionaries(st.sampled_from(["inbox", "news", "else"]), st.integers(0, 10**15 - 1))


@given(POSITIONS, POSITIONS, st.sampled_from(["", "ab"]))
def test_positions_beside_a_cursor_move_it_forward_only(
    before: dict[str, int], since: dict[str, int], tag: str
) -> None:
    asked = Resume(cursor=str(Cursor("e", tag, before)), positions=since).requested("another")
    assert asked is not None
    assert (asked.epoch, asked.tag) == ("e", tag)
    assert asked.positions == {name: max(before.get(name, 0), since.get(name, 0)) for name in before | since}


def test_positions_beside_an_invalid_cursor_or_another_epoch_are_ignored() -> None:
    lost = Resume(cursor="rubbish", positions={"inbox": 5}).requested("t")
    assert lost is not None
    assert (lost.epoch, lost.tag) == ("", "")
    assert Resume("1.e.ab.inbox:5", "other", {"inbox": 9}).requested("t") == Cursor("e", "ab", {"inbox": 5})
    assert Resume("1.e.ab.inbox:5", "e", {"inbox": 9}).requested("t") == Cursor("e", "ab", {"inbox": 9})


def test_a_resume_has_a_cursor_or_an_epoch_with_positions() -> None:
    assert Resume(cursor="1.e..news:5").requested("t") == Cursor("e", "", {"news": 5})
    assert Resume(epoch="e", positions={"inbox": 5}).requested("t") == Cursor("e", "t", {"inbox": 5})
    assert Resume().requested("t") is None
    for lost in (Resume(cursor="rubbish"), Resume(positions={"inbox": 5})):
        assert lost.requested("t").epoch != "x"


def test_close_codes_mean_reconnect_or_stop() -> None:
    stop = {code for code in CloseCode if 4500 <= code <= 4999}
    assert stop == {4501, 4502, 4503, 4504, 4505, 4506}
    assert all(code in (1009, 1011, 1012, 1013) or 4000 <= code <= 4499 for code in set(CloseCode) - stop)
