"""docs/routes.md describes every key of a routes file, and its examples are valid."""

import re
from pathlib import Path

import msgspec
import pytest

from domain.endpoints import Endpoint
from domain.routes import Feed, Profile, Route
from domain.routes_file import read_profile
from tests.support.core import ROUTE_CHANNELS

PAGE = Path(__file__).parents[2].joinpath("docs/routes.md").read_text()


def section(heading: str) -> str:
    return re.split(r"^## ", PAGE.partition(f"\n## {heading}\n")[2], maxsplit=1, flags=re.MULTILINE)[0]


@pytest.mark.parametrize(
    ("heading", "struct"), [("The file", Profile), ("Feeds", Feed), ("Endpoints", Endpoint), ("Routes", Route)]
)
def test_every_key_has_a_row(heading: str, struct: type[msgspec.Struct]) -> None:
    rows = re.findall(r"^\| `\[*([a-z_]+)[^`]*` \| ", section(heading), re.MULTILINE)
    keys = {field.name for field in msgspec.structs.fields(struct)}
    # Routes and endpoints get the profile of their file. A route has one table for each of its channels.
    internal = {Route: {"profile", "channels"}, Endpoint: {"profile"}}
    assert set(rows) == keys - internal.get(struct, set()) | ({"email"} if struct is Route else set())
    assert len(rows) == len(set(rows))


def test_the_examples_are_valid() -> None:
    whole, endpoint = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    profile = read_profile(whole, "routes.md", ROUTE_CHANNELS)
    assert [route.source for route in profile.routes] == ["shop.*.created", "shop.invoice.sent", "shop.offers"]
    assert len(read_profile(f"{whole}\n{endpoint}", "routes.md", ROUTE_CHANNELS).endpoints) == 2
