"""The client decodes everything that the service sends, ignores what is new, and rejects everything else."""

from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from herald_client import Archived, Broadcast, Gap, Hello, Notification, Read, Seen, Unknown, Unread, objects
from herald_client.objects import ProtocolError, read_object
from tests.unit.test_asyncapi import FRAMES

KINDS: dict[str, Any] = {
    "hello": Hello,
    "notification": Notification,
    "broadcast": Broadcast,
    "read": Read,
    "unread": Unread,
    "archived": Archived,
    "seen": Seen,
    "gap": Gap,
    "heartbeat": objects.Heartbeat,
    "pong": objects.Pong,
    "auth": objects.Authenticated,
    "error": objects.CommandError,
    "bye": objects.Bye,
}


@pytest.mark.parametrize("kind", FRAMES)
def test_everything_the_service_sends_is_decoded(kind: str) -> None:
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
def test_a_new_field_is_ignored(kind: str) -> None:
    told = msgspec.json.decode(FRAMES[kind][0])
    assert type(read_object(msgspec.json.encode({**told, "new": {"a": 1}}).decode())) is KINDS[kind]


def test_a_new_kind_is_passed_on_unchanged() -> None:
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
def test_text_that_is_not_herald_v1_is_rejected(line: str) -> None:
    with pytest.raises(ProtocolError):
        read_object(line)


@given(st.text() | st.text('{"kind:,}[5'))
def test_any_text_is_decoded_or_rejected(line: str) -> None:
    with suppress(ProtocolError):
        assert read_object(line).kind is not None


def test_a_payload_that_python_cannot_represent_fails_only_when_accessed() -> None:
    head = '{"kind":"broadcast","stream":"s","seq":1,"id":"i","event_id":"e","type":"t","time":"2026-03-01T12:00:00Z"'
    sent = read_object(head + ',"data":{"n":1e999}}')
    assert isinstance(sent, Broadcast)
    assert bytes(sent.json) == b'{"n":1e999}'
    with pytest.raises(msgspec.DecodeError):
        assert sent.data
