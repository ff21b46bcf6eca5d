"""Bodies that are compressed or in another character set."""

import gzip
import time
import zlib

import pytest

from adapters.rabbitmq.buffer import BATCH_BYTES, UNDECODABLE, Buffer
from domain.body_decoding import Undecodable, decoded
from domain.broker_messages import Message
from domain.events import Unreadable, read_event
from tests.support.core import NOW

TEXT = '{"name": "Zoë, 東京"}'
LIMIT = 1_048_576
BOMB = gzip.compress(b"0" * 100 * LIMIT, mtime=0)


def bare_deflate(data: bytes) -> bytes:
    made = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return made.compress(data) + made.flush()


def message(body: bytes, encoding: str) -> Message:
    return Message("x", body, NOW, "1", encoding=encoding)


@pytest.mark.parametrize(("encoding", "body"), [
    ("gzip", gzip.compress(TEXT.encode(), mtime=0)),
    ("GZIP", gzip.compress(TEXT.encode(), mtime=0)),
    ("x-gzip", gzip.compress(TEXT.encode(), mtime=0)),
    ("deflate", zlib.compress(TEXT.encode())),
    ("deflate", bare_deflate(TEXT.encode())),
    ("gzip:UTF-8", gzip.compress(TEXT.encode(), mtime=0)),  # as written by Spring AMQP
    ("gzip, utf-16", gzip.compress(TEXT.encode("utf-16"), mtime=0)),
    ("utf-16", TEXT.encode("utf-16")),
    ("UTF-16LE", TEXT.encode("utf-16-le")),
    ("shift_jis", "{\"name\": \"東京\"}".encode("shift_jis")),
    ("gb18030", TEXT.encode("gb18030")),
    ("iso-8859-1", "Zoë".encode("latin-1")),
    ("ISO_8859-15", "10 €".encode("iso8859-15")),
    ("windows-1252", "10 €".encode("cp1252")),
    ("utf-8", TEXT.encode()),
    ("UTF8, iso-8859-1", TEXT.encode()),  # the first one applies
    ("us-ascii", TEXT.encode()),  # the body has characters beyond the declared charset
    ("identity", TEXT.encode()),
    ("binary", TEXT.encode()),
    ("", TEXT.encode()),
])  # fmt: skip
def test_a_body_is_decoded_by_its_encoding(encoding: str, body: bytes) -> None:
    assert decoded(body, encoding, LIMIT).decode() in (TEXT, '{"name": "東京"}', "Zoë", "10 €")
    assert read_event(message(body, encoding), max_bytes=LIMIT).text == decoded(body, encoding).decode()


@pytest.mark.parametrize(("encoding", "body", "reason", "words"), [
    ("gzip", b"{}", "bad_encoding", "The body is not valid gzip, the compression that its content_encoding declares."),
    ("deflate", b"\xff\xff\xff", "bad_encoding", "The body is not valid deflate, the compression that its content_encoding declares."),  # noqa: E501
    ("gzip", gzip.compress(TEXT.encode(), mtime=0)[:-9], "bad_encoding", "The body ends before the end of its gzip data."),  # noqa: E501
    ("deflate", b"", "bad_encoding", "The body ends before the end of its deflate data."),
    ("gzip", gzip.compress(b"{}", mtime=0) + b"{}", "bad_encoding", "The body has further bytes after the end of its gzip data."),  # noqa: E501
    ("utf-16", b"\x00\xd8", "bad_encoding", "The body is not valid utf-16, the charset that its producer declares."),
    ("shift-jis", b"\xff\xff", "bad_encoding", "The body is not valid shift-jis, the charset that its producer declares."),  # noqa: E501
    ("br", b"\x8b\xff", "not_utf8", "The event is not UTF-8 from byte 0 on; its producer declares the encoding 'br'."),
    ("punycode", b"\xff", "not_utf8", "The event is not UTF-8 from byte 0 on; its producer declares the encoding 'punycode'."),  # noqa: E501
    ("", b"\xff", "not_utf8", "The event is not UTF-8 from byte 0 on."),
    ("gzip", BOMB, "too_large", "The body has more than 1048576 bytes once it is decoded from gzip."),
    ("deflate", zlib.compress(b"0" * (LIMIT + 1)), "too_large", "The body has more than 1048576 bytes once it is decoded from deflate."),  # noqa: E501
    ("iso-8859-1", b"\xe4" * (LIMIT - 1), "too_large", "The body has more than 1048576 bytes once it is decoded from iso-8859-1."),  # noqa: E501
    ("gzip", b"0" * (LIMIT + 1), "too_large", "The event has 1048577 bytes; at most 1048576 are accepted (HERALD_MAX_EVENT_BYTES)."),  # noqa: E501
])  # fmt: skip
def test_a_body_that_contradicts_its_encoding_is_an_error_that_names_it(
    encoding: str, body: bytes, reason: str, words: str
) -> None:
    with pytest.raises(Unreadable) as told:
        read_event(message(body, encoding), max_bytes=LIMIT)
    assert (told.value.reason, told.value.detail) == (reason, words)


def test_a_body_of_exactly_the_limit_is_read() -> None:
    body = b"0" * LIMIT
    assert decoded(gzip.compress(body, mtime=0), "gzip", LIMIT) == body
    with pytest.raises(Undecodable):
        decoded(gzip.compress(body + b"0", mtime=0), "gzip", LIMIT)


async def test_a_batch_is_limited_by_its_decoded_size() -> None:
    buffer = Buffer(LIMIT)
    small = gzip.compress(b"0" * LIMIT, mtime=0)
    for tag in range(1, 101):
        buffer.put(tag, message(small, "gzip"))
    _, batch = await buffer.take()
    assert len(batch) == BATCH_BYTES // LIMIT
    assert {(one.body, one.encoding, one.fallback_id) for one in batch} == {(b"0" * LIMIT, "", "1")}


async def test_a_batch_of_decompression_bombs_is_cheap() -> None:
    """Each body is inflated up to the limit only, here and once more when it becomes a dead letter."""
    buffer = Buffer(LIMIT)
    for tag in range(1, 501):
        buffer.put(tag, message(BOMB, "gzip"))
    costs = []
    for _ in range(5):
        began = time.thread_time()
        _, batch = await buffer.take()
        for one in batch:
            with pytest.raises(Unreadable):
                read_event(one, max_bytes=LIMIT)
        costs.append(time.thread_time() - began)
        assert {one.body for one in batch} == {BOMB}
        assert len(batch) <= BATCH_BYTES // LIMIT // UNDECODABLE + 1
    assert sorted(costs)[2] < 0.05
