"""Repairing frames that pamqp cannot decode.

AMQP 0-9-1 prescribes no encoding for short strings and no range for time stamps, and RabbitMQ checks neither. pamqp
raises on short strings that are not UTF-8, on time stamps that Python has no date for (microseconds instead of
seconds), and on tables that are nested too deeply. The exception ends aiormq's connection; the message is delivered
again on the next one and ends that too, so no later message would ever be read. Therefore a frame that pamqp cannot
decode is rewritten: strings are converted to UTF-8, and other invalid properties are removed.

To report to pamqp (https://github.com/gmr/pamqp/issues): `decode.short_string` should take `errors="surrogateescape"`
or leave bytes as they are, `decode.timestamp` should return None for a value out of range, and `decode.field_table`
should limit its depth. aiormq (https://github.com/mosquito/aiormq/issues) could skip a message whose properties cannot
be decoded instead of closing the connection. Once both do, this module can go.
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
    """Returns the frame, repaired if it is a delivery or a content header that pamqp cannot decode."""
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
    consumer, at = _short(payload, len(DELIVER))
    between, at = payload[at : at + TAG_AND_REDELIVERED], at + TAG_AND_REDELIVERED
    exchange, at = _short(payload, at)
    routing_key, _ = _short(payload, at)
    return DELIVER + consumer + between + exchange + routing_key


def _repaired_properties(payload: bytes) -> bytes:
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
                value, at = _if_valid(decode.timestamp, payload[at : at + 8]), at + 8
            case _:
                end = at + 4 + int.from_bytes(payload[at : at + 4])
                value, at = _if_valid(decode.field_table, payload[at:end]), end
        kept += value
        if not value:
            flags ^= flag
    return payload[:FLAGS_AT] + flags.to_bytes(2) + kept


def _short(payload: bytes, at: int) -> tuple[bytes, int]:
    """Returns the short string at offset `at` as UTF-8 with its length prefix, and the offset after it. A string that
    is not UTF-8 is converted from Latin-1, so that different strings stay different, and cut to 255 bytes."""
    end = at + 1 + payload[at]
    value = payload[at + 1 : end]
    try:
        value.decode()
    except UnicodeDecodeError:
        value = value.decode("latin-1").encode()[:MAX_SHORT_STRING_BYTES].decode(errors="ignore").encode()
    return len(value).to_bytes() + value, end


def _if_valid(decoder: Callable[[bytes], object], value: bytes) -> bytes:
    """Returns the value, or b"" if the decoder raises an exception for it."""
    try:
        decoder(value)
    except Exception:
        return b""
    return value
