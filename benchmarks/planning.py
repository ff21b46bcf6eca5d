"""The time to plan one event, in one thread, without a server: with many conditional routes, and with the routes that
Herald ships."""

import json
import statistics
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from benchmarks.report import Row
from domain.broker_messages import Message
from domain.planning import plan
from domain.route_table import RouteTable
from domain.routes_file import read_profile
from entrypoints.profiles.loader import EVERY, shipped

SOURCES: Final = 50
ROUTES_OF_A_SOURCE: Final = 4

# A round consists of slices, which alternate between the two tables: other load of the machine affects both equally.
SLICES: Final = 50
EVENTS_OF_A_SLICE: Final = 200

PRIORITIES: Final = ("low", "normal", "high", "urgent")

# Each event fulfils the conditions of one of the routes of its source, which excludes one of three users.
_ROUTE: Final = """
[[routes]]
source = "helpdesk.{source}.commented"
when = {{ "ticket.priority" = ["{priority}"] }}
users = ["watchers"]
exclude = ["comment.author_id"]
omit = ["watchers"]
as_type = "commented"
inbox = {{ title = "{{ticket.subject}}", message = "{{comment.author}} wrote {{comment.excerpt}}" }}
"""


async def conditions(rounds: int) -> list[Row]:
    """Compares the time to plan an event with 200 routes that have `when` and `exclude`, and with the shipped ones."""
    many, comments = _conditional_table(), [_comment(number) for number in range(SOURCES * ROUTES_OF_A_SOURCE)]
    few = RouteTable(shipped([EVERY]))
    samples = [
        _message(sample.source, sample.payload, number)
        for number, sample in enumerate(sample for profile in few.profiles for sample in profile.samples)
    ]
    rows = [_round((many, comments), (few, samples)) for _ in range(rounds)]
    ours, theirs = zip(*rows, strict=True)
    what = f"planning an event, {len(many.routes)} routes with when and exclude, vs the shipped profiles"
    return [Row(what, "µs", ours, theirs, "≤", 1.3)]


def _conditional_table() -> RouteTable:
    routes = [
        _ROUTE.format(source=source, priority=priority)
        for source in range(SOURCES)
        for priority in PRIORITIES[:ROUTES_OF_A_SOURCE]
    ]
    return RouteTable((read_profile('profile = "helpdesk"\n' + "".join(routes), "helpdesk.toml"),))


def _comment(number: int) -> Message:
    payload = {
        "ticket": {"id": number, "subject": "The printer is on fire", "priority": PRIORITIES[number % len(PRIORITIES)]},
        "comment": {"author_id": "u-1", "author": "Ada", "excerpt": "It has been so since Monday."},
        "watchers": ["u-1", "u-2", "u-3"],
    }
    return _message(f"helpdesk.{number % SOURCES}.commented", payload, number)


def _message(source: str, payload: Any, number: int) -> Message:
    return Message(source, json.dumps(payload).encode(), datetime.now(UTC), f"m-{number}")


def _round(*cases: tuple[RouteTable, Sequence[Message]]) -> list[float]:
    """Returns the microseconds of CPU time to plan one event of each case, as the median of its slices."""
    slices = [[_slice(table, messages) for table, messages in cases] for _ in range(SLICES)]
    return [statistics.median(times) for times in zip(*slices, strict=True)]


def _slice(table: RouteTable, messages: Sequence[Message]) -> float:
    passes = -(-EVENTS_OF_A_SLICE // len(messages))
    began = time.thread_time()
    for _ in range(passes):
        for message in messages:
            plan(message, table)
    return (time.thread_time() - began) / (passes * len(messages)) * 1e6
