"""The shipped templates, by name."""

from pathlib import Path
from typing import Final

HTML: Final = ".html"
TEXT: Final = ".txt"

SHIPPED: Final = Path(__file__).parent / "templates"


def plain_text_name(name: str) -> str:
    """The plain-text template that belongs to an HTML template."""
    return name.removesuffix(HTML) + TEXT


def is_shipped(name: str) -> bool:
    """Whether this is the name of a shipped HTML template that has its plain text. A test checks that all are valid."""
    names = {file.name for file in SHIPPED.iterdir()}
    return name.endswith(HTML) and {name, plain_text_name(name)} <= names
