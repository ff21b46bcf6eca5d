"""Messages between nodes through Redis, in wire format."""

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any, Final
from uuid import UUID

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.redis import wire
from adapters.redis.wire import EntryReader, bundles, entry_messages, read_sign_outs, sign_out_message
from domain.streams import Content, Entry, SignOut
from tests.support.core import NOW, entry

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
TIMES = st.datetimes(timezones=st.just(UTC))
POSITIONS = st.integers(0, 2**63 - 1)

KINDS: Final = ("arrival", "read", "unread", "archived")
CONTENTS = st.builds(
    Content, TEXT, TEXT, TEXT, TEXT, TEXT, st.sampled_from(["raw", "typed", "event", "flat"]), TEXT, TIMES
)
ENTRIES = st.builds(
    Entry,
    stream=st.sampled_from(["feed:news", "inbox:ada", "inbox:bob"]),
    seq=POSITIONS,
    changed=st.integers(0, 5),
    id=st.uuids(),
    content=CONTENTS,
    stored_at=TIMES,
    kind=st.sampled_from(KINDS),
    read=st.booleans(),
    muted=st.booleans(),
    unread=POSITIONS,
)


def of_one_kind(one: Entry) -> Entry:
    """Give the entry the kind that all entries at its position have."""
    return msgspec.structs.replace(one, kind=KINDS[one.changed % len(KINDS)])


def received(entries: Sequence[Entry], max_bytes: int = wire.MAX_BYTES) -> dict[str, list[Sequence[Any]]]:
    """Return the messages of each stream as a node decodes them."""
    messages: dict[str, list[Sequence[Any]]] = {}
    for stream, text in entry_messages(entries, max_bytes):
        messages.setdefault(stream, []).append(EntryReader()(text))
    return messages


@settings(max_examples=25)
@given(st.lists(ENTRIES.map(of_one_kind), max_size=12), st.sampled_from([1, 700, 2_000, wire.MAX_BYTES]))
def test_entries_are_decoded_in_order_and_each_position_is_in_one_message(entries: list[Entry], max_bytes: int) -> None:
    messages = received(entries, max_bytes)
    for stream in {one.stream for one in entries}:
        its = [one for one in entries if one.stream == stream]
        assert [one for message in messages[stream] for one in message] == its
        for before, after in pairwise(messages[stream]):
            assert before
            assert before[-1].changed != after[0].changed
    assert messages.keys() == {one.stream for one in entries}


@given(st.lists(st.tuples(st.sampled_from(["a", "channel"]), st.binary(max_size=40)), max_size=30), st.integers(1, 100))
def test_messages_are_bundled_in_order_and_as_few_bundles_as_possible(
    messages: list[tuple[str, bytes]], max_bytes: int
) -> None:
    made = list(bundles(messages, max_bytes))
    weights = [sum(len(channel) + len(message) for channel, message in bundle) for bundle in made]
    assert [one for bundle in made for one in bundle] == messages
    assert all(weight <= max_bytes or len(bundle) == 1 for weight, bundle in zip(weights, made, strict=True))
    assert all(one + following > max_bytes for one, following in pairwise(weights))


@given(st.lists(st.builds(SignOut, TEXT, TIMES), max_size=5))
def test_sign_outs_round_trip(sign_outs: list[SignOut]) -> None:
    assert list(read_sign_outs(sign_out_message(sign_outs))) == sign_outs


def test_small_entries_share_a_message_up_to_the_size_limit() -> None:
    small = [entry(seq=seq) for seq in range(1, 101)]
    assert [len(message) for message in received(small)["feed:news"]] == [100]
    large = [entry("x" * 10_000, seq=seq) for seq in range(1, 101)]
    texts = [text for _, text in entry_messages(large)]
    assert len(texts) > 3
    assert all(len(text) <= wire.MAX_BYTES for text in texts)
    huge = [entry("x" * wire.MAX_BYTES * 2, seq=seq) for seq in range(1, 4)]
    assert [len(message) for message in received(huge)["feed:news"]] == [1, 1, 1]


def fields(one: Any) -> Any:
    """Encode fields as another version of Herald may, with more or fewer of them."""
    return msgspec.to_builtins(one, builtin_types=(datetime, UUID))


def test_fields_of_a_later_version_are_ignored() -> None:
    one = entry()
    later = fields(one) | {"new": [1, {"a": None}], "content": fields(one.content) | {"also": "new"}}
    assert EntryReader()(msgspec.msgpack.encode([later])) == (one,)
    gone = SignOut("ada", NOW)
    assert read_sign_outs(msgspec.msgpack.encode([fields(gone) | {"why": "x"}])) == (gone,)


def test_fields_with_a_default_may_be_missing() -> None:
    one = entry()
    earlier = {name: value for name, value in fields(one).items() if name not in ("read", "muted", "unread", "kind")}
    assert EntryReader()(msgspec.msgpack.encode([earlier])) == (one,)


@given(st.binary(max_size=40))
def test_invalid_bytes_are_refused_with_one_error(garbage: bytes) -> None:
    for read in (EntryReader(), read_sign_outs):
        try:
            read(garbage)
        except wire.UNREADABLE:
            continue


@pytest.mark.parametrize(
    "garbage",
    [
        b"",
        b"\xc1",
        b"hello",
        b"\x91" * 100_000 + b"\x90",
        b"\x91\x81\xa3new" + b"\x91" * 100_000 + b"\x90",
        b"\xdd\xff\xff\xff\xff",
        b"\x91\x81\xa6stream\xa1\xff",
        b"\x91\x81\xa1\xff\x01",
        msgspec.msgpack.encode([fields(entry()) | {"seq": "1"}]),
        msgspec.msgpack.encode([fields(entry()) | {"kind": 7}]),
        msgspec.msgpack.encode([{"stream": "feed:news", "kind": "read"}]),
        msgspec.msgpack.encode([{"stream": "feed:news"}]),
    ],
)
def test_a_malformed_message_is_refused_with_one_error(garbage: bytes) -> None:
    with pytest.raises(wire.UNREADABLE):
        EntryReader()(garbage)
    with pytest.raises(wire.UNREADABLE):
        read_sign_outs(garbage)
