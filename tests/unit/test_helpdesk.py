"""The example of a helpdesk: its routes do what its page says, and what it adds to deploy/compose.yaml fits there.

tests/e2e/test_walk_through.py executes the page's commands."""

import subprocess
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
import yaml

from domain.planning import plan
from domain.plans import Plan
from domain.route_table import RouteTable
from entrypoints.profiles.loader import read_file
from entrypoints.settings.loader import NAMES
from tests.support.core import message
from tests.support.pages_of_commands import Commands, commands

ROOT: Final = Path(__file__).parents[2]
HELPDESK: Final = ROOT / "docs/examples/helpdesk"
TABLE: Final = RouteTable((read_file(str(HELPDESK / "routes/helpdesk.toml")),))
NOT_RUN: Final = [block for block in commands(HELPDESK / "README.md") if not block.is_run]


def planned(source: str, file: str, **changed: Any) -> Plan:
    payload = msgspec.json.decode((HELPDESK / "events" / file).read_bytes())
    return plan(message(source, payload | changed), TABLE)


def users(of: Plan) -> set[str]:
    return {user for one in of.addressed for user in one.users}


def test_everybody_but_the_author_is_notified() -> None:
    assert users(planned("ticket.created", "urgent.json")) == {"ana", "cem"}
    assert users(planned("ticket.commented", "comment.json")) == {"ben", "cem"}
    assert users(planned("ticket.assigned", "assigned.json", agent={"id": "ana"})) == {"ana"}
    assert users(planned("ticket.assigned", "assigned.json", agent={"id": "ben"})) == set()


@pytest.mark.parametrize(("priority", "mailed"), [("urgent", ["ana", "cem"]), ("high", []), (None, [])])
def test_only_urgent_tickets_are_mailed(priority: str | None, mailed: list[str]) -> None:
    made = planned("ticket.created", "urgent.json", ticket={"number": 7, "subject": "Late", "priority": priority})
    assert [one.destination for one in made.deliveries] == [f"{name}@helpdesk.example" for name in mailed]
    assert users(made) == {"ana", "cem"}


def test_the_assignment_that_the_page_replays_is_a_dead_letter() -> None:
    made = planned("ticket.assigned", "assigned.json")
    assert made.dead_letter is not None
    assert made.dead_letter.reason == "no_recipient"


def test_every_sample_is_what_a_route_is_for() -> None:
    for sample in TABLE.profiles[0].samples:
        assert plan(message(sample.source, sample.payload), TABLE).dead_letter is None, sample.title


def test_what_the_helpdesk_adds_to_compose_fits_there() -> None:
    base = yaml.safe_load((ROOT / "deploy/compose.yaml").read_text())["services"]
    for name, service in yaml.safe_load((HELPDESK / "compose.yaml").read_text())["services"].items():
        assert service["environment"].keys() <= NAMES & base[name]["environment"].keys()
        mounted = {volume.split(":")[1] for volume in base[name]["volumes"]}
        for volume in service["volumes"]:
            source, target, mode = volume.split(":")
            # Compose resolves paths relative to the first file, and replaces a volume with the same target.
            assert (ROOT / "deploy" / source).resolve().parent == HELPDESK
            assert target in mounted
            assert mode == "ro"


@pytest.mark.parametrize("block", NOT_RUN, ids=lambda block: f"line {block.line}")
def test_commands_that_no_test_runs_are_valid(block: Commands) -> None:
    assert block.marker == "docker" or block.marker.startswith("not run: ")
    subprocess.run(["bash", "-n"], input=block.text, text=True, check=True)
