"""Identity of events: what makes an arriving event a duplicate of a stored one.

Identity is (origin, id). The origin is the CloudEvents source or, if an event has none, its topic or routing key. All
producers share this one namespace and choose their names freely. So that no producer can make an event of another one
count as a duplicate, an event whose identity is already used by an event of another source is stored under a qualified
origin, which begins with its own source.
"""

import hashlib
from collections.abc import Callable
from functools import lru_cache
from typing import Final
from urllib.parse import quote

# Reserved prefix: no event has an unqualified origin that begins with it (see `origin_of`).
_PREFIX: Final = "herald-source:"

# Maximum size of a qualified origin: it is part of index rows, whose size is limited.
LONGEST_QUALIFIED_BYTES: Final = 512


def origin_of(declared: str | None, source: str) -> str:
    """The origin of an event of `source` (its topic or routing key): the CloudEvents source that it declares, else
    `source`. A declared origin with the prefix of qualified origins is qualified itself, so that no event can claim the
    origin of another source.
    """
    origin = declared or source
    return qualified_origin(origin, source) if origin.startswith(_PREFIX) else origin


@lru_cache(maxsize=4096)
def qualified_origin(origin: str, source: str) -> str:
    """The origin, prefixed with its source: unique to this pair, and at most LONGEST_QUALIFIED_BYTES long (longer pairs
    are replaced by a digest).
    """
    escaped = quote(source, safe="", errors="surrogatepass")
    text = f"{_PREFIX}{escaped} {origin}"
    encoded = text.encode(errors="surrogatepass")
    if len(encoded) <= LONGEST_QUALIFIED_BYTES:
        return text
    # Colons are escaped in a source, so no source can look like a digest.
    return f"{_PREFIX}sha256:{hashlib.sha256(encoded).hexdigest()}"


def find_origin(origin: str, source: str, by_source: bool, source_of: Callable[[str], str | None]) -> tuple[str, bool]:
    """The origin that an event is stored under, and whether it is already stored.

    `source_of` returns the source of the row stored in the same place under an origin with the event's id, or None if
    there is no such row. Without `by_source`, an event of any source counts as the same event.
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
