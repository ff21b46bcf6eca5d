"""Decoding of message bodies that are compressed or in a charset other than UTF-8, within a size limit."""

import re
import zlib
from encodings.aliases import aliases
from typing import Final

from domain.dead_letter_reasons import DeadLetterReason

# zlib's window bits for each compression. `deflate` has a zlib wrapper (RFC 9110, section 8.4.1.2); many producers send
# it without one.
_COMPRESSIONS: Final = {"gzip": zlib.MAX_WBITS | 16, "x-gzip": zlib.MAX_WBITS | 16, "deflate": zlib.MAX_WBITS}
_BARE_DEFLATE: Final = -zlib.MAX_WBITS

# Charsets, by Python's codec names. An allowlist, because Python has other codecs (punycode, unicode_escape, …) that
# are not charsets, and some of them take more than linear time.
_AS_IT_IS: Final = frozenset({"utf_8", "ascii"})
_CODECS: Final = _AS_IT_IS | frozenset({
    "latin_1", *(f"iso8859_{part}" for part in (*range(2, 12), *range(13, 17))),
    *(f"cp125{page}" for page in range(9)), "cp437", "cp850", "cp852", "cp866", "cp874", "cp932", "cp949", "cp950",
    "koi8_r", "koi8_u", "mac_roman", "utf_16", "utf_16_be", "utf_16_le", "utf_32", "utf_32_be", "utf_32_le",
    "big5", "gb2312", "gbk", "gb18030", "shift_jis", "euc_jp", "iso2022_jp", "euc_kr",
})  # fmt: skip
_CHARSETS: Final = {name: name for name in _CODECS} | {
    alias: codec for alias, codec in aliases.items() if codec in _CODECS
}

# HTTP separates several encodings by commas; Spring AMQP writes `gzip:UTF-8`.
_SEPARATORS: Final = re.compile(r"[,:;\s]+")


class Undecodable(Exception):
    """Raised by `decoded` if a body can't be decoded. `reason` is a code for programs: `bad_encoding` or `too_large`.
    The text of the exception is the explanation for people.
    """

    def __init__(self, reason: DeadLetterReason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


def decoded(body: bytes, encoding: str, max_bytes: int = 0) -> bytes:
    """Decompresses a message body and converts it to UTF-8. A body that is neither compressed nor in another charset is
    returned unchanged.

    `encoding` is the producer's declaration, such as `gzip`, `latin-1` or `gzip:UTF-8`. Names in it that are not those
    of a supported compression or charset are ignored. Raises Undecodable if the body does not match the declaration, or
    if it has more than `max_bytes` bytes once it is decompressed or converted (0 means no limit).
    """
    names = [name for name in _SEPARATORS.split(encoding.lower()) if name]
    compression = next((name for name in names if name in _COMPRESSIONS), None)
    if compression is not None:
        body = _inflated(body, compression, max_bytes)
    charset = next((name for name in names if name.replace("-", "_") in _CHARSETS), None)
    if charset is not None and _CHARSETS[charset.replace("-", "_")] not in _AS_IT_IS:
        body = _recoded(body, charset, max_bytes)
    return body


def _inflated(body: bytes, compression: str, max_bytes: int) -> bytes:
    try:
        inflater = zlib.decompressobj(_COMPRESSIONS[compression])
        try:
            made = inflater.decompress(body, max_bytes and max_bytes + 1)
        except zlib.error:
            if compression != "deflate":
                raise
            inflater = zlib.decompressobj(_BARE_DEFLATE)
            made = inflater.decompress(body, max_bytes and max_bytes + 1)
    except zlib.error:
        raise Undecodable(
            "bad_encoding", f"The body is not valid {compression}, the compression that its content_encoding declares."
        ) from None
    _check_size(made, compression, max_bytes)
    if not inflater.eof:
        raise Undecodable("bad_encoding", f"The body ends before the end of its {compression} data.")
    if inflater.unused_data:
        raise Undecodable("bad_encoding", f"The body has further bytes after the end of its {compression} data.")
    return made


def _recoded(body: bytes, charset: str, max_bytes: int) -> bytes:
    try:
        made = body.decode(_CHARSETS[charset.replace("-", "_")]).encode()
    except UnicodeError:
        raise Undecodable(
            "bad_encoding", f"The body is not valid {charset}, the charset that its producer declares."
        ) from None
    _check_size(made, charset, max_bytes)
    return made


def _check_size(made: bytes, name: str, max_bytes: int) -> None:
    if max_bytes and len(made) > max_bytes:
        raise Undecodable("too_large", f"The body has more than {max_bytes} bytes once it is decoded from {name}.")
