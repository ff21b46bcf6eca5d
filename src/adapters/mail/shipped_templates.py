"""Finds the mail templates that Herald ships: base templates, which all mails can extend, and the templates of
profiles."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

HTML: Final = ".html"
TEXT: Final = ".txt"

CHANNEL_TEMPLATES: Final = Path(__file__).parent / "templates"


def plain_text_name(name: str) -> str:
    """Returns the name of the plain-text template that belongs to an HTML template."""
    return name.removesuffix(HTML) + TEXT


def is_shipped(name: str, profile_templates: Sequence[Path]) -> bool:
    """Returns whether a shipped HTML template, and its plain-text template, have this name. Shipped templates need not
    be checked at the start, because a test checks that they are valid."""
    names = {file.name for folder in (*profile_templates, CHANNEL_TEMPLATES) for file in folder.iterdir()}
    return name.endswith(HTML) and {name, plain_text_name(name)} <= names
