"""Repairs AMQP frames that pamqp, the codec of aiormq, cannot decode, so that one invalid message does not stop the
queue.

AMQP 0-9-1 prescribes no encoding for short strings and no range for timestamps, and RabbitMQ checks neither. pamqp
raises an exception for short strings that are not UTF-8, for timestamps out of the range of datetime (microseconds
instead of seconds), and for tables that are nested too deeply. The exception ends aiormq's connection. RabbitMQ then
delivers the same message on the next connection, which ends too, so no later message would ever be read. Therefore such
a frame is rewritten: strings are converted to UTF-8, and other invalid properties are removed.

To report to pamqp (https://github.com/gmr/pamqp/issues): `decode.short_str` should take `errors="surrogateescape"` or
leave bytes as they are, `decode.timestamp` should return None for a value out of range, and `decode.field_table` should
limit its depth. To report to aiormq (https://github.com/mosquito/aiormq/issues): a message whose properties cannot be
decoded could be skipped instead of closing the connection. This module can be deleted once both are fixed.
"""

from collections.abc import Callable
from typing import Final

import pamqp.frame
from pamqp import decode
from pamqp.commands import Basic
from pamqp.constants import FRAME_END_CHAR, FRAME_HEADER, FRAME_METHOD

# Offset of a frame's payload.
PAYLOAD: Final = 7
# Offsets in a content header: class, weight and body size precede the flags of the properties present.
FLAGS_AT: Final = 12
PROPERTIES_AT: Final = 14

DELIVER: Final = Basic.Deliver.index.to_bytes(4)
# Bytes in a delivery between two short strings: the delivery tag and the redelivered flag.
TAG_AND_REDELIVERED: Final = 9

MAX_SHORT_STRING_BYTES: Final = 255


def decodable(frame: bytes) -> bytes:
    """Returns the frame in a form that pamqp can decode. A delivery (`basic.deliver`) or content header (the properties
    of a message) that pamqp cannot decode is repaired; any other frame is returned unchanged."""
    kind = frame[0]
    if kind == FRAME_HEADER:
        repair = _repaired_properties
    elif kind == FRAME_METHOD and frame[PAYLOAD : PAYLOAD + 4] == DELIVER:
        repair = _repaired_delivery
    else:
        return frame
    try:
        pamqp.frame.unmarshal(frame)
    except Exception:
        payload = repair(frame[PAYLOAD:-1])
        return frame[:3] + len(payload).to_bytes(4) + payload + FRAME_END_CHAR
    return frame


def _repaired_delivery(payload: bytes) -> bytes:
    consumer, at = _short_string(payload, len(DELIVER))
    between, at = payload[at : at + TAG_AND_REDELIVERED], at + TAG_AND_REDELIVERED
    exchange, at = _short_string(payload, at)
    routing_key, _ = _short_string(payload, at)
    return DELIVER + consumer + between + exchange + routing_key


def _repaired_properties(payload: bytes) -> bytes:
    flags = int.from_bytes(payload[FLAGS_AT:PROPERTIES_AT])
    kept, at = b"", PROPERTIES_AT
    for name, flag in Basic.Properties.flags.items():
        if not flags & flag:
            continue
        match Basic.Properties.amqp_type(name):
            case "shortstr":
                value, at = _short_string(payload, at)
            case "octet":
                value, at = payload[at : at + 1], at + 1
            case "timestamp":
                value, at = _if_valid(decode.timestamp, payload[at : at + 8]), at + 8
            case _:
                end = at + 4 + int.from_bytes(payload[at : at + 4])
                value, at = _if_valid(decode.field_table, payload[at:end]), end
        kept += value
        if not value:
            flags ^= flag
    return payload[:FLAGS_AT] + flags.to_bytes(2) + kept


def _short_string(payload: bytes, at: int) -> tuple[bytes, int]:
    """Reads the AMQP short string at offset `at` of the payload. Returns the string as UTF-8 with its length prefix,
    and the offset after it in the payload. A string that is not UTF-8 is converted from Latin-1, so that different
    strings stay different, and cut to 255 bytes."""
    end = at + 1 + payload[at]
    value = payload[at + 1 : end]
    try:
        value.decode()
    except UnicodeDecodeError:
        value = value.decode("latin-1").encode()[:MAX_SHORT_STRING_BYTES].decode(errors="ignore").encode()
    return len(value).to_bytes() + value, end


def _if_valid(decoder: Callable[[bytes], object], value: bytes) -> bytes:
    """Returns `value` if `decoder`, a function of pamqp, can decode it; otherwise returns b""."""
    try:
        decoder(value)
    except Exception:
        return b""
    return value
