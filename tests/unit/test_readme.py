"""The README says what is so."""

import re
from pathlib import Path

from domain.routes import read_profile
from entrypoints.settings import SETTINGS

README = Path(__file__).parents[2].joinpath("README.md").read_text()


def test_every_setting_is_in_the_table_with_its_meaning() -> None:
    rows = dict(re.findall(r"^\| (`[^|]+`) \| ([^|]+) \|", README, re.MULTILINE))
    assert rows == {
        ", ".join(f"`{name}`" for name in setting.names.split()): setting.help for setting in SETTINGS.values()
    }


def test_the_example_of_a_routes_file_is_one() -> None:
    (example,) = re.findall(r"```toml\n(.*?)```", README, re.DOTALL)
    profile = read_profile(example, "README.md")
    assert [route.source for route in profile.routes] == ["shop.*.created", "shop.offers"]
