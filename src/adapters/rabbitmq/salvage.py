"""Making readable what would end the connection.

AMQP promises no encoding of its short strings and no range of its time stamps, and RabbitMQ checks neither. pamqp
raises on text that is not UTF-8, on times that Python has no date for (microseconds where seconds are meant), on tables
that are nested too deep; and what it can't decode ends aiormq's connection. The message would come again on the next,
and end that: nothing behind it would ever be read. So a frame that pamqp can't decode is written anew, without what is
wrong.
"""

from collections.abc import Callable
from typing import Final

import pamqp.frame
from pamqp import decode
from pamqp.commands import Basic
from pamqp.constants import FRAME_END_CHAR, FRAME_HEADER, FRAME_METHOD

# Where a frame's payload begins.
PAYLOAD: Final = 7
# In a content header: class, weight and body size, then the flags that say which properties there are.
FLAGS_AT: Final = 12
PROPERTIES_AT: Final = 14

DELIVER: Final = Basic.Deliver.index.to_bytes(4)
# In a delivery, between two short strings: its tag and whether it is repeated.
TAG_AND_REPEATED: Final = 9

LONGEST: Final = 255


def readable(frame: bytes) -> bytes:
    """The frame itself where pamqp can decode it, or is to say what is wrong."""
    kind = frame[0]
    if kind == FRAME_HEADER:
        mended = _mended_properties
    elif kind == FRAME_METHOD and frame[PAYLOAD : PAYLOAD + 4] == DELIVER:
        mended = _mended_delivery
    else:
        return frame
    try:
        pamqp.frame.unmarshal(frame)
    except Exception:
        payload = mended(frame[PAYLOAD:-1])
        return frame[:3] + len(payload).to_bytes(4) + payload + FRAME_END_CHAR
    return frame


def _mended_delivery(payload: bytes) -> bytes:
    consumer, at = _short(payload, len(DELIVER))
    between, at = payload[at : at + TAG_AND_REPEATED], at + TAG_AND_REPEATED
    exchange, at = _short(payload, at)
    routing_key, _ = _short(payload, at)
    return DELIVER + consumer + between + exchange + routing_key


def _mended_properties(payload: bytes) -> bytes:
    flags = int.from_bytes(payload[FLAGS_AT:PROPERTIES_AT])
    kept, at = b"", PROPERTIES_AT
    for name, flag in Basic.Properties.flags.items():
        if not flags & flag:
            continue
        match Basic.Properties.amqp_type(name):
            case "shortstr":
                value, at = _short(payload, at)
            case "octet":
                value, at = payload[at : at + 1], at + 1
            case "timestamp":
                value, at = _if_sound(decode.timestamp, payload[at : at + 8]), at + 8
            case _:
                end = at + 4 + int.from_bytes(payload[at : at + 4])
                value, at = _if_sound(decode.field_table, payload[at:end]), end
        kept += value
        if not value:
            flags ^= flag
    return payload[:FLAGS_AT] + flags.to_bytes(2) + kept


def _short(payload: bytes, at: int) -> tuple[bytes, int]:
    """A short string with its length, and where it ends. What is not UTF-8 is read as Latin-1: no two become one."""
    end = at + 1 + payload[at]
    value = payload[at + 1 : end]
    try:
        value.decode()
    except UnicodeDecodeError:
        value = value.decode("latin-1").encode()[:LONGEST].decode(errors="ignore").encode()
    return len(value).to_bytes() + value, end


def _if_sound(decoder: Callable[[bytes], object], value: bytes) -> bytes:
    try:
        decoder(value)
    except Exception:
        return b""
    return value
