"""Duplicates are counted by source and route; the first per source and hour is logged with its id and an
explanation."""

from typing import Any

from structlog.testing import capture_logs

from adapters.clock import Uuid7Factory
from adapters.memory.shared_records import MemoryRecords
from adapters.memory.store import MemoryStore
from application.counters import Counters
from application.ingest.note_duplicates import DEFAULT, DuplicatesPolicy, NoteDuplicates
from domain.planning import plan
from domain.route_table import RouteTable
from entrypoints.cli.explain import explain
from tests.support.core import NOW, HandClock, message, table

ROUTES = """
profile = "ops"
[feeds.all]
access = "public"
[[routes]]
source = "incidents.#"
feed = "all"
[[routes]]
source = "incidents.#"
users = ["to"]
id = "incident_id"
otherwise = "drop"
[[routes]]
source = "other.*"
feed = "all"
"""


class Rig:
    def __init__(self, policy: DuplicatesPolicy = DEFAULT) -> None:
        self.routes: RouteTable = table(ROUTES)
        self.store = MemoryStore(MemoryRecords(Uuid7Factory()))
        self.clock = HandClock()
        self.counters = Counters()
        self.note = NoteDuplicates(self.clock, self.counters, policy)

    async def send(self, source: str, payload: dict[str, Any], place: str = "p:0:1") -> list[dict[str, Any]]:
        """Ingest an event. Returns the log lines."""
        recorded = await self.store.record([plan(message(source, payload, place), self.routes)], NOW)
        with capture_logs() as logs:
            self.note(recorded.repeated, self.routes)
        return [dict(line) for line in logs]


async def test_the_second_change_of_an_incident_is_counted_and_logged_with_its_id() -> None:
    rig = Rig()
    assert await rig.send("incidents.open", {"incident_id": 7, "state": "open"}) == []
    assert await rig.send("incidents.open", {"incident_id": 7, "state": "closed"}) == [
        {
            "event": "duplicate_event",
            "log_level": "warning",
            "source": "incidents.open",
            "event_id": "7",
            "route": "ops/2",
            "id_field": "incident_id",
        }
    ]
    assert rig.counters.duplicates_by_route == {("incidents.open", "ops/2"): 1}


async def test_one_log_line_per_source_and_hour() -> None:
    rig = Rig()
    for source in ("incidents.a", "incidents.b"):
        await rig.send(source, {"incident_id": 7})
    lines = [await rig.send(source, {"incident_id": 7}) for source in ("incidents.a", "incidents.b", "incidents.a")]
    assert [len(one) for one in lines] == [1, 1, 0]
    rig.clock.turn(3599)
    assert await rig.send("incidents.a", {"incident_id": 7}) == []
    rig.clock.turn(1)
    assert len(await rig.send("incidents.a", {"incident_id": 7})) == 1
    assert rig.counters.duplicates_by_route == {("incidents.a", "ops/2"): 4, ("incidents.b", "ops/2"): 1}


async def test_a_repeated_broker_message_is_logged_as_info() -> None:
    rig = Rig()
    await rig.send("other.x", {"n": 1}, "other.x:0:5")
    (line,) = await rig.send("other.x", {"n": 1}, "other.x:0:5")
    assert (line["log_level"], line["event_id"], line["route"]) == ("info", "other.x:0:5", "ops/3")
    assert "id_field" not in line


async def test_the_number_of_counted_sources_is_limited() -> None:
    rig = Rig(DuplicatesPolicy(max_sources=3))
    for number in range(6):
        for _ in range(2):
            await rig.send(f"incidents.{number}", {"incident_id": 7})
    counts = rig.counters.duplicates_by_route
    assert counts == {**{(f"incidents.{n}", "ops/2"): 1 for n in range(3)}, ("other", "ops/2"): 3}
    assert len(rig.note._logged) == 3


def test_explain_names_the_field_of_the_id() -> None:
    routes = table(ROUTES)
    lines = explain("incidents.open", b'{"incident_id": 7, "to": "ada"}', routes, NOW).text
    assert "event        7\n" in lines
    warning = "a later event with the same incident_id is a duplicate and is not stored"
    assert warning in lines
    assert warning not in explain("incidents.open", b'{"event_id": "e", "incident_id": 7}', routes, NOW).text
    assert warning not in explain("other.x", b'{"incident_id": 7}', routes, NOW).text
    assert warning not in explain("incidents.open", b"{}", routes, NOW).text
