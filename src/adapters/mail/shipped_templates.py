"""Finds the mail templates that Herald ships: base templates, which all templates can extend, and the templates of
the shipped profiles."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

HTML: Final = ".html"
TEXT: Final = ".txt"

CHANNEL_TEMPLATES: Final = Path(__file__).parent / "templates"


def plain_text_name(name: str) -> str:
    """Returns the name of the plain-text counterpart of an HTML template: `order.html` -> `order.txt`."""
    return name.removesuffix(HTML) + TEXT


def is_shipped(name: str, profile_templates: Sequence[Path]) -> bool:
    """Returns whether Herald ships an HTML template with this name, and its plain-text counterpart. Herald does not
    check such templates when it starts, because its tests check them."""
    names = {file.name for folder in (*profile_templates, CHANNEL_TEMPLATES) for file in folder.iterdir()}
    return name.endswith(HTML) and {name, plain_text_name(name)} <= names
