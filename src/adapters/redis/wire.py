"""What nodes say to one another: entries and sign-outs as MessagePack, with the names of their fields.

Nodes of two versions hear each other during an upgrade. A field that is new must have a default, and one that is gone
must have had one; what can't be read is passed over, and found in the store.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, groupby
from operator import attrgetter
from typing import Final

import msgspec

from adapters.redis.command_batcher import Command
from domain.streams import Entry, SignOut, StreamName

# About how many bytes of entries one message holds, and of messages one command: a subscriber that reads slowly is cut
# off by Redis at 32 MB (client-output-buffer-limit pubsub), and either is read in one step.
MOST_BYTES: Final = 256 * 1024

# What reading raises; two of them for what no node has said: broken text, and what is nested without end.
UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

# A batch of ingest has thousands of messages, one for each inbox. As commands of their own they cost the client three
# times as much (docs/performance.md).
_PUBLISH: Final = "for i = 1, #ARGV, 2 do redis.call('PUBLISH', ARGV[i], ARGV[i + 1]) end"

_encode = msgspec.msgpack.Encoder().encode
read_entries = msgspec.msgpack.Decoder(tuple[Entry, ...]).decode
read_sign_outs = msgspec.msgpack.Decoder(tuple[SignOut, ...]).decode


def entry_messages(entries: Iterable[Entry]) -> Iterator[tuple[StreamName, bytes]]:
    """Messages of one stream each, in the order of the entries. All of one position is in one message."""
    by_stream: dict[StreamName, list[Entry]] = {}
    for entry in entries:
        by_stream.setdefault(entry.stream, []).append(entry)
    for stream, its in by_stream.items():
        message: list[Entry] = []
        weight = 0
        for _, group in groupby(its, attrgetter("changed")):
            position = list(group)
            added = sum(entry.weight for entry in position)
            if message and weight + added > MOST_BYTES:
                yield stream, _encode(message)
                message, weight = [], 0
            message += position
            weight += added
        yield stream, _encode(message)


def bundles(messages: Iterable[tuple[str, bytes]]) -> Iterator[list[tuple[str, bytes]]]:
    """The same messages in the same order, as many together as one command should have."""
    bundle: list[tuple[str, bytes]] = []
    weight = 0
    for channel, message in messages:
        added = len(channel) + len(message)
        if bundle and weight + added > MOST_BYTES:
            yield bundle
            bundle, weight = [], 0
        bundle.append((channel, message))
        weight += added
    if bundle:
        yield bundle


def publication(messages: Iterable[tuple[str, bytes]]) -> Command:
    """The one command that publishes these, in their order."""
    arguments: Iterator[str | bytes] = chain.from_iterable(messages)
    return ("EVAL", _PUBLISH, 0, *arguments)


def sign_out_message(sign_outs: Sequence[SignOut]) -> bytes:
    return _encode(sign_outs)
