"""The messages that nodes send to each other by Redis: entries and sign-outs, in MessagePack with field names.

During an upgrade, nodes of two versions exchange messages. So a new field must have a default, and only a field with a
default can be removed. All entries of a message have the same kind (domain.protocol.entry_kinds), so a node whose
version does not support this kind ignores only these entries. A node ignores messages that it can't read; its hub reads
their entries from the store within seconds.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, groupby
from typing import Final

import msgspec
import structlog

from adapters.redis.command_types import Command
from domain.protocol.entry_kinds import ENTRY_KINDS
from domain.streams import Entry, SignOut, StreamEntry, StreamName

log = structlog.get_logger(__name__)

# Approximate limit of the entries in one message, and of the messages in one command. Redis disconnects a subscriber
# with 32 MB unread (client-output-buffer-limit pubsub), and each message or command is read in one step.
MAX_BYTES: Final = 256 * 1024

# The exceptions that reading a message raises. The last two are raised only for messages that no node sends: invalid
# UTF-8, and very deep nesting.
UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

# A batch of ingest leads to thousands of messages, one for each inbox. As separate commands they cost the client three
# times as much (docs/performance.md).
_PUBLISH: Final = "for i = 1, #ARGV, 2 do redis.call('PUBLISH', ARGV[i], ARGV[i + 1]) end"


class _Kind(msgspec.Struct):
    kind: str = "arrival"


_encode = msgspec.msgpack.Encoder().encode
_decode_notifications = msgspec.msgpack.Decoder(tuple[Entry, ...]).decode
_decode_items = msgspec.msgpack.Decoder(tuple[msgspec.Raw, ...]).decode
_decode_kind = msgspec.msgpack.Decoder(_Kind).decode
read_sign_outs = msgspec.msgpack.Decoder(tuple[SignOut, ...]).decode


class EntryReader:
    """Decodes a message: `reader(message)` returns its entries. Entries whose kind is unknown to this version are
    omitted, and each such kind is logged once. Raises one of the exceptions in UNREADABLE if the message can't be
    decoded."""

    def __init__(self) -> None:
        self._unknown: set[str] = set()

    def __call__(self, message: bytes) -> Sequence[StreamEntry]:
        try:
            return _decode_notifications(message)
        except msgspec.ValidationError:
            # Not all of them are notifications or broadcasts: decode each by its kind.
            return tuple(entry for item in _decode_items(message) if (entry := self._read(item)) is not None)

    def _read(self, item: msgspec.Raw) -> StreamEntry | None:
        name = _decode_kind(item).kind
        kind = ENTRY_KINDS.get(name)
        if kind is not None:
            entry: StreamEntry = msgspec.msgpack.decode(item, type=kind.struct)
            return entry
        if name not in self._unknown:
            self._unknown.add(name)
            log.warning("unknown_entry_kind", kind=name)
        return None


def entry_messages(entries: Iterable[StreamEntry], max_bytes: int = MAX_BYTES) -> Iterator[tuple[StreamName, bytes]]:
    """Encodes entries as messages. Yields pairs of a stream and a message of about `max_bytes` at most. Each message
    has entries of one stream and one kind. The order in each stream is kept, and entries of the same position are
    never divided between messages."""
    by_stream: dict[StreamName, list[StreamEntry]] = {}
    for entry in entries:
        by_stream.setdefault(entry.stream, []).append(entry)
    for stream, its in by_stream.items():
        for _, of_one_kind in groupby(its, lambda entry: entry.kind):
            yield from ((stream, message) for message in _messages(of_one_kind, max_bytes))


def _messages(entries: Iterable[StreamEntry], max_bytes: int) -> Iterator[bytes]:
    message: list[StreamEntry] = []
    weight = 0
    for _, group in groupby(entries, lambda entry: entry.changed):
        position = list(group)
        added = sum(entry.weight for entry in position)
        if message and weight + added > max_bytes:
            yield _encode(message)
            message, weight = [], 0
        message += position
        weight += added
    yield _encode(message)


def bundles(messages: Iterable[tuple[str, bytes]], max_bytes: int = MAX_BYTES) -> Iterator[list[tuple[str, bytes]]]:
    """Divides messages into lists of about `max_bytes` at most, in the same order, to publish each list with one
    command."""
    bundle: list[tuple[str, bytes]] = []
    weight = 0
    for channel, message in messages:
        added = len(channel) + len(message)
        if bundle and weight + added > max_bytes:
            yield bundle
            bundle, weight = [], 0
        bundle.append((channel, message))
        weight += added
    if bundle:
        yield bundle


def publish_command(messages: Iterable[tuple[str, bytes]]) -> Command:
    """Returns one Redis command that publishes the messages, which are pairs of a channel and a body, in their
    order."""
    arguments: Iterator[str | bytes] = chain.from_iterable(messages)
    return ("EVAL", _PUBLISH, 0, *arguments)


def sign_out_message(sign_outs: Sequence[SignOut]) -> bytes:
    return _encode(sign_outs)
