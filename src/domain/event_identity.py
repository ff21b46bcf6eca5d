"""Identity of events: what makes an arriving event a duplicate of a stored one.

An event is identified by (origin, id). The origin is the CloudEvents source or, if an event has none, its topic or
routing key. All producers share this one namespace and choose their names freely. If an event of another source has the
same origin and id already, the event is stored under a qualified origin, which begins with its own source. So no
producer can make an event of another producer count as a duplicate.
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
    """Returns the origin of an event of `source` (its topic or routing key): the CloudEvents source that the event
    declares, else `source`. A declared origin with the prefix of qualified origins is qualified itself, so that no
    event can claim the origin of another source.
    """
    origin = declared or source
    return qualified_origin(origin, source) if origin.startswith(_PREFIX) else origin


@lru_cache(maxsize=4096)
def qualified_origin(origin: str, source: str) -> str:
    """Returns the origin, prefixed with its source. The result is unique to this pair, and has at most
    LONGEST_QUALIFIED_BYTES bytes; longer ones are replaced by a digest.
    """
    escaped = quote(source, safe="", errors="surrogatepass")
    text = f"{_PREFIX}{escaped} {origin}"
    encoded = text.encode(errors="surrogatepass")
    if len(encoded) <= LONGEST_QUALIFIED_BYTES:
        return text
    # Colons are escaped in a source, so no source can look like a digest.
    return f"{_PREFIX}sha256:{hashlib.sha256(encoded).hexdigest()}"


def find_origin(origin: str, source: str, by_source: bool, source_of: Callable[[str], str | None]) -> tuple[str, bool]:
    """Returns the origin under which an event is stored, and whether it is stored already.

    `source_of(origin)` returns the source of the stored row that has this origin and the event's id, for example in the
    same inbox; None if there is no such row. Without `by_source`, an event counts as stored if an event of any source
    has the same origin and id.
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
