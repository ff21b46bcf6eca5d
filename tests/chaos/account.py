"""Accounts: what was shown, against what there was to show."""

import json
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

import msgspec

from tests.support.load import FEED, Load
from tests.support.postgres import Postgres

# What is kept, in its order.
_KEPT: Final = """
SELECT user_id, json_agg((body::json->>'n')::int ORDER BY seq), max(seq), max(i.last_seq)
FROM notifications JOIN inboxes i USING (user_id) GROUP BY user_id
UNION ALL
SELECT feed, json_agg((body::json->>'n')::int ORDER BY seq), max(seq), max(f.last_seq)
FROM broadcasts JOIN feeds f ON f.name = feed GROUP BY feed
"""


class Account(msgspec.Struct):
    """How many of the numbers that were to be shown were `lost`, came `twice`, came out of order (`disordered`), or
    were not to be shown at all (`strange`). `missed` is what went by while a client without a cursor was away, which
    it knows of."""

    shown: int = 0
    lost: int = 0
    twice: int = 0
    disordered: int = 0
    strange: int = 0
    missed: int = 0

    @property
    def faults(self) -> int:
        return self.lost + self.twice + self.disordered + self.strange

    def __add__(self, other: "Account") -> "Account":
        mine, its = msgspec.structs.astuple(self), msgspec.structs.astuple(other)
        return Account(*(a + b for a, b in zip(mine, its, strict=True)))


def judge(spans: Sequence[Sequence[int]], truth: Sequence[int]) -> Account:
    """`spans` are what a client was shown on each of its connections, `truth` all that there was, in its order.

    A client that resumes has one span, however often it connected, and all of the truth is to be in it. One that does
    not may have missed what lies between two of its spans.
    """
    shown = [number for span in spans for number in span]
    place = {number: at for at, number in enumerate(truth)}
    known = [number for number in shown if number in place]
    places = [place[number] for number in known]
    missing = sorted(set(range(len(truth))) - set(places))
    between = _between(spans, place) if len(spans) > 1 else set()
    missed = sum(1 for at in missing if at in between)
    return Account(
        shown=len(shown),
        lost=len(missing) - missed,
        twice=sum(count - 1 for count in Counter(known).values()),
        disordered=sum(1 for one, following in pairwise(places) if following < one),
        strange=len(shown) - len(known),
        missed=missed,
    )


def _between(spans: Sequence[Sequence[int]], place: dict[int, int]) -> set[int]:
    """The places from the end of each span to the beginning of the next that has any. What comes behind the last is
    not among them, unless that is empty."""
    outside: set[int] = set()
    end = -1
    for index, span in enumerate(spans):
        if places := [place[number] for number in span if number in place]:
            if index:
                outside.update(range(end + 1, places[0]))
            end = places[-1]
    if not spans[-1]:
        outside.update(range(end + 1, len(place)))
    return outside


def kept(postgres: Postgres, url: str) -> dict[str, list[int]]:
    """The numbers in each inbox and in the feed, by their positions. Asserts that these have no holes."""
    found: dict[str, list[int]] = {}
    for row in postgres.psql(_KEPT, url).splitlines():
        name, numbers, newest, last = row.split("|")
        found[name] = json.loads(numbers)
        assert len(found[name]) == int(newest) == int(last), f"{name} has holes in its positions"
    return found


def judge_store(found: dict[str, list[int]], load: Load) -> Account:
    """Of all that was published. A feed has the order in which the partitions were read."""
    total = judge([sorted(found.get(FEED, []))], range(load.published))
    for user in load.users:
        total += judge([found.get(user, [])], load.expected[user])
    return total
