"""Identity of events: what makes an arriving event a duplicate of a stored event.

An event is identified by its origin and its id. The origin is the CloudEvents source or, if the event has none, its
topic or routing key. Producers choose CloudEvents sources freely, so events from two topics may have the same origin
and id. The event that arrives second is then stored under a qualified origin, which also contains the topic or routing
key. So no producer can make an event of another producer count as a duplicate.
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
    """Returns the origin of an event: its CloudEvents source (`declared`) or, if it has none, its topic or routing key
    (`source`). A declared origin that begins with `herald-source:`, like a qualified origin, is qualified: so no
    producer can claim the qualified origin of another source.
    """
    origin = declared or source
    return qualified_origin(origin, source) if origin.startswith(_PREFIX) else origin


@lru_cache(maxsize=4096)
def qualified_origin(origin: str, source: str) -> str:
    """Returns the qualified origin `herald-source:<source> <origin>`, which is different for each pair of source (topic
    or routing key) and origin. If it has more than LONGEST_QUALIFIED_BYTES bytes, a SHA-256 digest takes its place.
    """
    escaped = quote(source, safe="", errors="surrogatepass")
    text = f"{_PREFIX}{escaped} {origin}"
    encoded = text.encode(errors="surrogatepass")
    if len(encoded) <= LONGEST_QUALIFIED_BYTES:
        return text
    # Colons are escaped in a source, so no source can look like a digest.
    return f"{_PREFIX}sha256:{hashlib.sha256(encoded).hexdigest()}"


def find_origin(origin: str, source: str, by_source: bool, source_of: Callable[[str], str | None]) -> tuple[str, bool]:
    """Checks whether an arriving event is stored already. Returns the origin under which the event is stored or is to
    be stored, and whether it is stored already.

    `source_of(origin)` must return the source of the stored row with this origin and the event's id (in the same inbox,
    for example); None if there is no such row. If `by_source` is true, a row of another source does not count: the
    arriving event is to be stored under its qualified origin. If `by_source` is false, a row of any source makes the
    event a duplicate.
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
