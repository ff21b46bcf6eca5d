"""The client understands what the service says, passes over what is new, and takes nothing else for herald.v1."""

from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from herald_client import Archived, Broadcast, Gap, Hello, Notification, Read, Unknown, Unread, objects
from herald_client.objects import ProtocolError, read_object
from tests.unit.test_asyncapi import FRAMES

KINDS: dict[str, Any] = {
    "hello": Hello,
    "notification": Notification,
    "broadcast": Broadcast,
    "read": Read,
    "unread": Unread,
    "archived": Archived,
    "gap": Gap,
    "heartbeat": objects.Heartbeat,
    "pong": objects.Pong,
    "auth": objects.Authenticated,
    "error": objects.CommandError,
    "bye": objects.Bye,
}


@pytest.mark.parametrize("kind", FRAMES)
def test_whatever_the_service_sends_is_understood(kind: str) -> None:
    for text in FRAMES[kind]:
        sent = read_object(text)
        assert type(sent) is KINDS[kind]
        assert sent.kind == kind
        told = msgspec.json.decode(text)
        known = msgspec.structs.asdict(sent)
        for name, value in known.items():
            if name == "json":
                assert msgspec.json.decode(value) == sent.data == told["data"]
            elif value is not None and name != "time":
                assert msgspec.json.decode(msgspec.json.encode(value)) == told[name]


@pytest.mark.parametrize("kind", FRAMES)
def test_a_field_that_is_new_is_passed_over(kind: str) -> None:
    told = msgspec.json.decode(FRAMES[kind][0])
    assert type(read_object(msgspec.json.encode({**told, "new": {"a": 1}}).decode())) is KINDS[kind]


def test_a_kind_that_is_new_is_told_as_it_came() -> None:
    assert read_object('{"kind":"starred","stream":"inbox","n":1}') == Unknown(
        "starred", {"kind": "starred", "stream": "inbox", "n": 1}
    )


@pytest.mark.parametrize(
    "line",
    [
        "",
        "rubbish",
        "5",
        "[]",
        "{}",
        pytest.param("[" * 100_000, id="deep"),
        pytest.param('{"kind":"new","a":' + "[" * 100_000, id="deep and new"),
        '{"kind":5}',
        '{"kind":"hello"}',
        '{"kind":"read","stream":5}',
        '{"kind":"gap"}',
    ],
)
def test_what_is_not_herald_v1_is_not_taken_for_it(line: str) -> None:
    with pytest.raises(ProtocolError):
        read_object(line)


@given(st.text() | st.text('{"kind:,}[5'))
def test_any_text_is_an_object_or_none(line: str) -> None:
    with suppress(ProtocolError):
        assert read_object(line).kind is not None


def test_a_payload_that_python_cannot_hold_hinders_nobody_who_does_not_look() -> None:
    head = '{"kind":"broadcast","stream":"s","seq":1,"id":"i","event_id":"e","type":"t","time":"2026-03-01T12:00:00Z"'
    sent = read_object(head + ',"data":{"n":1e999}}')
    assert isinstance(sent, Broadcast)
    assert bytes(sent.json) == b'{"n":1e999}'
    with pytest.raises(msgspec.DecodeError):
        assert sent.data
