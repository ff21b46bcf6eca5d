"""Bodies that are compressed, or are text in another charset than UTF-8: read within a limit."""

import re
import zlib
from encodings.aliases import aliases
from typing import Final

# What each compression is to zlib. `deflate` is wrapped by zlib (RFC 9110, section 8.4.1.2); many send it bare.
_COMPRESSIONS: Final = {"gzip": zlib.MAX_WBITS | 16, "x-gzip": zlib.MAX_WBITS | 16, "deflate": zlib.MAX_WBITS}
_BARE_DEFLATE: Final = -zlib.MAX_WBITS

# Charsets, by Python's names of their codecs. A list, since Python has other codecs (punycode, unicode_escape, …) that
# are no charsets, and not all of them linear.
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

# As HTTP has several, and as Spring AMQP writes them (`gzip:UTF-8`).
_SEPARATORS: Final = re.compile(r"[,:;\s]+")


class Undecodable(Exception):
    """A body that is not what its encoding says. `reason` is a stable code, the text says more."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


def decoded(body: bytes, encoding: str, max_bytes: int = 0) -> bytes:
    """The body as UTF-8, or what it was if it is neither compressed nor in another charset.

    `encoding` names a compression, a charset, or both, outermost first; a name that is not known is ignored, and left
    to whoever reads the body. No more than `max_bytes` are made of it; 0 is no limit. Raises Undecodable.
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
        raise Undecodable("bad_encoding", f"The event is not {compression}, as its content_encoding says.") from None
    _check_size(made, compression, max_bytes)
    if not inflater.eof:
        raise Undecodable("bad_encoding", f"The event ends before its {compression} does.")
    if inflater.unused_data:
        raise Undecodable("bad_encoding", f"The event goes on after the end of its {compression}.")
    return made


def _recoded(body: bytes, charset: str, max_bytes: int) -> bytes:
    try:
        made = body.decode(_CHARSETS[charset.replace("-", "_")]).encode()
    except UnicodeError:
        raise Undecodable("bad_encoding", f"The event is not {charset}, as its producer says.") from None
    _check_size(made, charset, max_bytes)
    return made


def _check_size(made: bytes, name: str, max_bytes: int) -> None:
    if max_bytes and len(made) > max_bytes:
        raise Undecodable("too_large", f"The event, decoded from {name}, has more than {max_bytes} bytes.")
