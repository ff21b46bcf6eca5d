"""Where the faults of a routes file are, in plain words: `route 2 ('shop.#'): email.subject`."""

import re
from typing import Any, Final

import msgspec

from domain.input_faults import Fault

# The keys that identify a table in a list for people: in endpoints, samples and routes.
_IDENTIFYING: Final = ("name", "title", "source")

# Keys that need no quotation marks in TOML.
_BARE_KEY: Final = re.compile(r"[A-Za-z0-9_-]+\Z")

_STEP: Final = re.compile(r"\.?([^.\[\]]+)|\[(\d+)\]")


def place_of(path: tuple[str | int, ...], document: Any) -> str:
    """Returns the place that a path leads to in a parsed routes file: `("routes", 1, "email", "subject")` becomes
    `route 2 ('shop.#'): email.subject`. Elements of lists are numbered from 1.
    """
    place = ""
    value = document
    for depth, step in enumerate(path):
        value = _at(value, step)
        if isinstance(step, str):
            key = step if _BARE_KEY.match(step) else f'"{step}"'
            place += f".{key}" if place and not place.endswith(": ") else key
        elif depth == 1 and isinstance(value, dict):
            place = f"{place.removesuffix('s')} {step + 1}{_name_of(value)}: "
        else:
            place += f", element {step + 1}"
    return place.removesuffix(": ")


def fault_of(error: msgspec.ValidationError) -> Fault:
    """Returns an error of msgspec as a fault: its text, and the path after ` - at `."""
    reason, _, path = str(error).partition(" - at `$")
    steps = (int(index) if index else name for name, index in _STEP.findall(path.rstrip("`")))
    return Fault(tuple(steps), reason)


def _at(value: Any, step: str | int) -> Any:
    if isinstance(value, dict):
        return value.get(step)
    return value[step] if isinstance(value, list) and isinstance(step, int) and step < len(value) else None


def _name_of(table: dict[str, Any]) -> str:
    names = (table.get(key) for key in _IDENTIFYING)
    return next((f" ({name!r})" for name in names if isinstance(name, str)), "")
