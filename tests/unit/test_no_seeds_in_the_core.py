"""The core knows none of the services that Herald replaces: everything about them is data of the shipped profiles."""

import io
import re
import tokenize
from collections.abc import Callable
from pathlib import Path
from typing import Final

from domain.route_table import RouteTable
from domain.routes import route_templates
from tests.support.core import shipped_table

SRC: Final = Path(__file__).parents[2] / "src"
CORE: Final = ("domain", "application", "adapters")
TABLE: Final[RouteTable] = shipped_table("all")

# Names in the shipped profiles that Herald uses too.
OWN: Final = {
    "id": "every notification has one",
    "user_id": "how clients of herald.v1 and of REST name their user",
    "message": "the text of a notification",
    "status": "the state of a delivery",
    "event_type": "a field of plain messages and of REST",
    "group_id": "a parameter of Kafka clients",
}

# Where a name is allowed, by the beginning of the path of the file, and why.
ALLOWED: Final = {
    ("domain/endpoints.py", "/ws"): "where clients of herald.v1 connect",
    ("domain/endpoints.py", "/events/stream"): "where clients of herald.v1 connect",
    ("adapters/http/api/deliver", "order_id"): "a field and a parameter of the public REST interface",
    ("adapters/sql/", "order_id"): "a column, which nodes of the version before read and write",
}


def _names() -> set[str]:
    """Return profiles, feeds, paths, topics, types, templates and payload fields named by the shipped profiles."""
    names = {profile.profile for profile in TABLE.profiles} | set(TABLE.feeds)
    names |= {endpoint.name for endpoint in TABLE.endpoints} | {endpoint.path for endpoint in TABLE.endpoints}
    for route in TABLE.routes:
        names |= {route.source, *route.users, *route.omit}
        names |= {text for text in (route.as_type, route.id, route.reference, route.sign_out) if text}
        names |= {text for table in route.channels for text in (table.summary[1], table.template)}
        for template in route_templates(route).values():
            names |= {path for hole in re.findall(r"\{([^{}]*)\}", template) for path in hole.split("|") if path}
    for profile in TABLE.profiles:
        for sample in profile.samples:
            names |= _fields(sample.payload)
    return names - OWN.keys()


def _fields(payload: object) -> set[str]:
    if isinstance(payload, dict):
        return {name for name in payload if "_" in name}.union(*map(_fields, payload.values()))
    return set().union(*map(_fields, payload)) if isinstance(payload, list) else set()


def _finder(names: set[str]) -> Callable[[str], set[str]]:
    """Return a function that finds the names in a module. Names with a separator count anywhere, including comments.
    Plain words, which occur in prose, count as identifiers or parts of them, as whole strings, in backquotes, and
    before `profile`, `service` and `endpoint`."""
    separated = sorted((re.escape(name) for name in names if re.search(r"[_./-]", name)), key=len, reverse=True)
    anywhere = re.compile(rf"(?<![\w./-])(?:{'|'.join(separated)})(?![\w/-])")
    words = {name for name in names if name.isalpha()}
    word = re.compile("|".join(words), re.IGNORECASE)
    phrase = re.compile(rf"\b(?:seeds?|(?:{'|'.join(words)}) (?:profile|service|endpoint)s?)\b")

    def find(text: str) -> set[str]:
        found = {*anywhere.findall(text), *phrase.findall(text)}
        if not word.search(text):
            return found
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type == tokenize.NAME:
                found |= words & set(token.string.lower().split("_"))
            elif token.type == tokenize.STRING:
                found |= words & {token.string.strip("rbf").strip("\"'"), *re.findall(r"`(\w+)`", token.string)}
        return found

    return find


def test_no_module_names_a_replaced_service() -> None:
    names = _names()
    assert {"trading", "market", "order_id", "/ws", "product-events", "group_members_ids", "order_created.html"} < names
    find = _finder(names)
    found = [
        (str(path.relative_to(SRC)), name)
        for folder in CORE
        for path in sorted((SRC / folder).rglob("*.py"))
        for name in sorted(find(path.read_text()))
    ]
    unexpected = [
        (file, name)
        for file, name in found
        if not any(file.startswith(start) and name == allowed for start, allowed in ALLOWED)
    ]
    assert not unexpected, unexpected
    unused = [rule for rule in ALLOWED if not any(file.startswith(rule[0]) and name == rule[1] for file, name in found)]
    assert unused == []
    assert names.isdisjoint(path.name for folder in CORE for path in (SRC / folder).rglob("*"))
