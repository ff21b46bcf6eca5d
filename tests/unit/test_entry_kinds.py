"""Kinds of entries: a test kind about the inbox itself passes the backplane, the buffers and `herald.v1` with one
registry line. Nodes and clients that do not know it ignore it and keep the entries around it."""

import json
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

import msgspec
import pytest
from structlog.testing import capture_logs

from adapters.redis.wire import EntryReader, entry_messages, sign_out_message
from application.hub.policy import BufferPolicy
from application.hub.stream_buffer import StreamBuffer
from domain.protocol.entry_kinds import ENTRY_KINDS, View, protocol_text
from domain.streams import Entry, Seen, SignOut, StreamEntry
from herald_client import Unknown
from herald_client.objects import read_object
from tests.support import version_before
from tests.support.core import NOW, STREAM, Node, Reader, entry, settle
from tests.support.inbox_kind import opened, registered


@pytest.fixture
def known() -> Iterator[None]:
    with registered():
        yield


@cache
def arrival(seq: int) -> Entry:
    return entry(stream="inbox:ada", seq=seq, title="t", message="m", unread=seq)


@cache
def change(seq: int, changed: int, kind: Any = "read") -> Entry:
    return entry(stream="inbox:ada", seq=seq, changed=changed, kind=kind, title="t", message="m")


def stream() -> Sequence[StreamEntry]:
    """Return an entry about the inbox between others."""
    return (arrival(1), arrival(2), opened(3, seq=2), change(1, 4), arrival(5))


def messages(entries: Sequence[StreamEntry]) -> list[bytes]:
    return [message for _, message in entry_messages(entries)]


def builtins(one: Any) -> dict[str, Any]:
    fields: dict[str, Any] = msgspec.msgpack.decode(msgspec.msgpack.encode(one))
    return fields


def as_before(entry: StreamEntry) -> dict[str, Any]:
    """Return the fields of an entry as the previous version has them."""
    return {name: value for name, value in builtins(entry).items() if name != "unseen"}


# --- this version ------------------------------------------------------------------------------------------------


async def reader(node: Node, **options: Any) -> Reader:
    session = await node.open("ada", **options)
    session.complete_first_command(None)
    return Reader(node, session)


def entries_of(reader: Reader) -> list[dict[str, Any]]:
    return [one for one in reader.objects if one["kind"] != "hello"]


async def test_herald_v1_sessions_receive_it_in_order_and_plain_ones_do_not(known: None) -> None:
    node = await Node().start()
    whole, plain = await reader(node, protocol=True), await reader(node)
    of_other_types = await reader(node, protocol=True, types=frozenset({"other"}))
    event_stream = await reader(node, protocol=True, endpoint=STREAM)
    await node.backplane.publish(stream(), ())
    await settle()
    expected = [json.loads(protocol_text(one)) for one in stream()]
    assert expected[2] == {"kind": "opened", "stream": "inbox", "seq": 2, "changed": 3, "unseen": 0}
    assert entries_of(whole) == entries_of(event_stream) == expected
    assert entries_of(of_other_types) == [expected[2]]
    assert len(plain.frames) == 3
    assert whole.session.positions.by_name["inbox"] == event_stream.session.positions.by_name["inbox"] == 5


async def test_a_buffer_serves_it_to_sessions_that_are_behind(known: None) -> None:
    node = await Node().start()
    follower = await reader(node, protocol=True)
    await node.backplane.publish(stream(), ())
    (buffer,) = [buffer for buffer in follower.session.positions.buffers if buffer.name == "inbox:ada"]
    assert (buffer.base, buffer.head, len(buffer.entries)) == (0, 5, 5)
    frames = buffer.frames_after(View("ws", protocol=True), 2)
    assert frames is not None
    (text,) = frames.texts
    assert [json.loads(line)["kind"] for line in text.split("\n")] == ["opened", "read", "notification"]


def test_a_buffer_ignores_a_duplicate(known: None) -> None:
    buffer = StreamBuffer("inbox:ada", BufferPolicy())
    assert buffer.append([opened(1)]) == opened(1).weight
    assert buffer.append([opened(1)]) == 0
    assert (buffer.head, buffer.entries) == (1, [opened(1)])


def test_it_is_sent_in_a_separate_message_and_read_back_unchanged(known: None) -> None:
    sent = messages(stream())
    read = [EntryReader()(message) for message in sent]
    assert [[one.kind for one in message] for message in read] == [["arrival"] * 2, ["opened"], ["read"], ["arrival"]]
    assert [one for message in read for one in message] == list(stream())


# --- nodes that do not know the kind -----------------------------------------------------------------------------


def test_a_node_of_the_previous_version_loses_only_that_message(known: None) -> None:
    read = [version_before.read_entries(message) for message in messages(stream())]
    assert [len(entries) for entries in read] == [2, 0, 1, 1]
    readable = [one for entries in read for one in entries]
    assert [builtins(one) for one in readable] == [as_before(one) for one in stream() if one.kind != "opened"]


def test_an_unknown_kind_between_others_is_ignored_and_logged_once() -> None:
    read = EntryReader()
    assert "opened" not in ENTRY_KINDS
    with capture_logs() as logs:
        for _ in range(3):
            message = msgspec.msgpack.encode([arrival(1), opened(2), change(1, 3), opened(4), arrival(5)])
            assert read(message) == (arrival(1), change(1, 3), arrival(5))
        assert read(msgspec.msgpack.encode([opened(6)])) == ()
    assert logs == [{"event": "unknown_entry_kind", "kind": "opened", "log_level": "warning"}]


def test_a_kind_of_a_later_version_may_have_any_fields() -> None:
    later = {"kind": "later", "stream": 7, "id": None, "content": [1, {"a": 1.5}]}
    message = msgspec.msgpack.encode([later, arrival(1), {**builtins(arrival(2)), "kind": "recalled"}, arrival(3)])
    assert EntryReader()(message) == (arrival(1), arrival(3))


@pytest.mark.parametrize("of_kind", ["arrival", "read", "unread", "archived"])
def test_both_versions_read_each_others_messages(of_kind: Any) -> None:
    here = change(1, 4, of_kind) if of_kind != "arrival" else arrival(4)
    (sent,) = messages([here])
    (there,) = version_before.read_entries(sent)
    assert builtins(there) == as_before(here)
    assert EntryReader()(version_before.encode((there, there))) == (here, here)
    counted = msgspec.structs.replace(here, unseen=3)
    assert version_before.read_entries(*messages([counted])) == (there,)
    assert EntryReader()(*messages([counted])) == (counted,)
    sign_out = SignOut("ada", NOW)
    assert version_before.encode(version_before.read_sign_outs(sign_out_message([sign_out]))) == sign_out_message(
        [sign_out]
    )


def test_a_move_of_the_watermark_has_a_message_of_its_own() -> None:
    moved = Seen("inbox:ada", 1, 2, 0, NOW)
    sent = messages([arrival(1), moved, arrival(3)])
    assert [EntryReader()(message) for message in sent] == [(arrival(1),), (moved,), (arrival(3),)]
    before = [version_before.read_entries(message) for message in sent]
    assert [[one.seq for one in message] for message in before] == [[1], [], [3]]
    unknown = version_before.read_object(protocol_text(moved))
    fields = {"kind": "seen", "stream": "inbox", "seq": 1, "changed": 2, "unseen": 0}
    assert msgspec.to_builtins(unknown) == {"kind": "seen", "fields": fields}


# --- clients that do not know the kind ---------------------------------------------------------------------------


def test_the_client_of_the_previous_version_reads_the_other_entries_of_the_frame(known: None) -> None:
    frame = "\n".join(map(protocol_text, stream()))
    old = [version_before.read_object(line) for line in frame.split("\n")]
    assert [type(one).__name__ for one in old] == ["Notification", "Notification", "Unknown", "Read", "Notification"]
    new = [read_object(line) for line in frame.split("\n")]
    fields = {"kind": "opened", "stream": "inbox", "seq": 2, "changed": 3, "unseen": 0}
    assert new[2] == Unknown("opened", fields)
    assert msgspec.to_builtins(old[2]) == msgspec.to_builtins(new[2])
