"""Compares what clients received with what the store holds."""

import json
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

import msgspec

from tests.support.load import FEED, Load
from tests.support.postgres import Postgres

# The event numbers of each inbox and of the feed, ordered by position.
_STORED_NUMBERS: Final = """
SELECT user_id, json_agg((body::json->>'n')::int ORDER BY seq), max(seq), max(i.last_seq)
FROM notifications JOIN inboxes i USING (user_id) GROUP BY user_id
UNION ALL
SELECT feed, json_agg((body::json->>'n')::int ORDER BY seq), max(seq), max(f.last_seq)
FROM broadcasts JOIN feeds f ON f.name = feed GROUP BY feed
"""


class Audit(msgspec.Struct):
    """Counts of the entries that a client received.

    `missed` are entries stored while a client that cannot resume was disconnected: the client can detect them, so they
    are no violation. `unexpected` are entries that do not belong to the client's streams.
    """

    received: int = 0
    lost: int = 0
    duplicated: int = 0
    reordered: int = 0
    unexpected: int = 0
    missed: int = 0

    @property
    def violations(self) -> int:
        return self.lost + self.duplicated + self.reordered + self.unexpected

    def __add__(self, other: "Audit") -> "Audit":
        pairs = zip(msgspec.structs.astuple(self), msgspec.structs.astuple(other), strict=True)
        return Audit(*(a + b for a, b in pairs))


def audit_stream(spans: Sequence[Sequence[int]], expected: Sequence[int]) -> Audit:
    """Compares one stream. `spans` are the numbers that a client received on each of its connections, `expected` all
    numbers of the stream in order.

    A client that resumes has one span over all of its connections, which must equal `expected`. A client that cannot
    resume may miss what lies between two spans.
    """
    received = [number for span in spans for number in span]
    index_of = {number: index for index, number in enumerate(expected)}
    known = [number for number in received if number in index_of]
    indexes = [index_of[number] for number in known]
    missing = sorted(set(range(len(expected))) - set(indexes))
    disconnected = _indexes_between(spans, index_of) if len(spans) > 1 else set()
    missed = sum(1 for index in missing if index in disconnected)
    return Audit(
        received=len(received),
        lost=len(missing) - missed,
        duplicated=sum(count - 1 for count in Counter(known).values()),
        reordered=sum(1 for index, following in pairwise(indexes) if following < index),
        unexpected=len(received) - len(known),
        missed=missed,
    )


def _indexes_between(spans: Sequence[Sequence[int]], index_of: dict[int, int]) -> set[int]:
    """The indexes from the end of each span to the start of the next one that is not empty. Indexes after the last span
    are included only if that span is empty."""
    between: set[int] = set()
    end = -1
    for position, span in enumerate(spans):
        if indexes := [index_of[number] for number in span if number in index_of]:
            if position:
                between.update(range(end + 1, indexes[0]))
            end = indexes[-1]
    if not spans[-1]:
        between.update(range(end + 1, len(index_of)))
    return between


def stored_numbers(postgres: Postgres, url: str) -> dict[str, list[int]]:
    """The event numbers of each inbox and of the feed, by position. Asserts that positions have no gaps."""
    stored: dict[str, list[int]] = {}
    for row in postgres.psql(_STORED_NUMBERS, url).splitlines():
        name, numbers, newest, last = row.split("|")
        stored[name] = json.loads(numbers)
        assert len(stored[name]) == int(newest) == int(last), f"{name} has gaps in its positions"
    return stored


def audit_store(stored: dict[str, list[int]], load: Load) -> Audit:
    """Compares the store with the published events. The order of the feed is not checked: it depends on the order in
    which the partitions were read."""
    total = audit_stream([sorted(stored.get(FEED, []))], range(load.published))
    for user in load.users:
        total += audit_stream([stored.get(user, [])], load.expected[user])
    return total
