"""docs/settings.md agrees with the declarations of the settings."""

import re
from pathlib import Path

from entrypoints.settings.all_settings import SETTINGS
from entrypoints.settings.settings_page import page

PAGE = Path(__file__).parents[2] / "docs" / "settings.md"


def test_the_page_is_generated_from_the_declarations() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run `task docs`"


def test_every_setting_has_a_row_with_its_meaning() -> None:
    rows = dict(re.findall(r"^\| (`[^|]+`) \| ([^|]+) \|", page(), re.MULTILINE))
    assert rows == {
        ", ".join(f"`{name}`" for name in setting.names.split()): setting.help for setting in SETTINGS.values()
    }


def test_defaults_are_those_of_serve_and_of_dev_with_their_units() -> None:
    text = page()
    assert "| `0.0.0.0`; `herald dev`: `127.0.0.1` |" in text
    assert "| `75` s |" in text
    assert "| `{hostname}:{HERALD_PORT}` |" in text
    assert "| the broker of each profile; `herald dev`: `memory` |" in text
