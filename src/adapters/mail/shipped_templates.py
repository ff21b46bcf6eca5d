"""The templates that Herald ships: those of the channel, which any mail can extend, and those of the profiles."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

HTML: Final = ".html"
TEXT: Final = ".txt"

CHANNEL_TEMPLATES: Final = Path(__file__).parent / "templates"


def plain_text_name(name: str) -> str:
    """The plain-text template that belongs to an HTML template."""
    return name.removesuffix(HTML) + TEXT


def is_shipped(name: str, profile_templates: Sequence[Path]) -> bool:
    """Whether this is the name of a shipped HTML template that has its plain text. A test checks that all are valid."""
    names = {file.name for folder in (*profile_templates, CHANNEL_TEMPLATES) for file in folder.iterdir()}
    return name.endswith(HTML) and {name, plain_text_name(name)} <= names
