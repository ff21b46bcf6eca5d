"""Identity of events: what makes an event that arrives a duplicate of a stored one.

Identity is (origin, id). The origin is a CloudEvents source or, where an event has none, its topic or routing key: one
namespace, in which each producer chooses its own names. So that no producer can make another's event count as a
duplicate, an event whose identity is held by an event of another source is stored under a qualified origin, which
begins with its own source.
"""

import hashlib
from collections.abc import Callable
from functools import lru_cache
from typing import Final
from urllib.parse import quote

# Reserved: no event has an origin of its own that begins with this (see `origin_of`).
_PREFIX: Final = "herald-source:"

# A qualified origin has at most this many bytes; it is part of index rows, whose size is limited.
LONGEST_QUALIFIED_BYTES: Final = 512


def origin_of(declared: str | None, source: str) -> str:
    """The origin of an event of `source` (its topic or routing key): the CloudEvents source that it declares, else
    `source`. An origin that begins as qualified ones do is qualified itself: nobody can take another's."""
    origin = declared or source
    return qualified_origin(origin, source) if origin.startswith(_PREFIX) else origin


@lru_cache(maxsize=4096)
def qualified_origin(origin: str, source: str) -> str:
    """The origin, prefixed with its source: the same for no other pair, and at most LONGEST_QUALIFIED_BYTES long
    (a digest stands for pairs that are longer)."""
    escaped = quote(source, safe="", errors="surrogatepass")
    text = f"{_PREFIX}{escaped} {origin}"
    encoded = text.encode(errors="surrogatepass")
    if len(encoded) <= LONGEST_QUALIFIED_BYTES:
        return text
    # A colon is escaped in a source, so no source is taken for a digest.
    return f"{_PREFIX}sha256:{hashlib.sha256(encoded).hexdigest()}"


def find_origin(origin: str, source: str, by_source: bool, source_of: Callable[[str], str | None]) -> tuple[str, bool]:
    """The origin that an event is stored under, and whether it is stored already.

    `source_of` tells the source of what is stored under an origin with the event's id, in the same place; None where
    nothing is. Without `by_source` an event of any source holds the identity.
    """
    holder = source_of(origin)
    if holder == source:
        return origin, True
    qualified = qualified_origin(origin, source)
    if source_of(qualified) is not None:
        return qualified, True
    if holder is None:
        return origin, False
    return (qualified, False) if by_source else (origin, True)
