"""The JSON Schema of routes files, for editors: made from the structs that also read the files."""

import re
from typing import Any, Final

import msgspec

DRAFT: Final = "https://json-schema.org/draft/2020-12/schema"

_LINK: Final = re.compile(r"\[([^\]]*)\]\([^)]*\)")


def routes_schema(written: type[msgspec.Struct]) -> dict[str, Any]:
    """Returns the JSON Schema for the struct type of a routes file (see domain.routes_file_format). It uses only what
    editors for TOML understand, which know older drafts.
    """
    schema = _for_editors(msgspec.json.schema(written))
    root = schema["$defs"].pop(written.__name__)
    return {"$schema": DRAFT, **root, "title": "Herald routes file", "$defs": schema["$defs"]}


def _for_editors(node: Any) -> Any:
    """Returns a part of a schema with four changes: TOML has no null; `\\Z` in patterns is Python's; descriptions have
    no links, because their targets are pages; and nothing stands beside a `$ref`, where old drafts ignore it.
    """
    if isinstance(node, list):
        return [_for_editors(one) for one in node]
    if not isinstance(node, dict):
        return node
    made = {key: _for_editors(value) for key, value in node.items() if (key, value) != ("default", None)}
    if isinstance(made.get("pattern"), str):
        made["pattern"] = made["pattern"].replace(r"\Z", "$")
    if isinstance(made.get("description"), str):
        made["description"] = _LINK.sub(r"\1", " ".join(made["description"].split()))
    if isinstance(made.get("anyOf"), list):
        made["anyOf"] = [one for one in made["anyOf"] if one != {"type": "null"}]
        if len(made["anyOf"]) == 1:
            made = {**made.pop("anyOf")[0], **made}
    if "$ref" in made and len(made) > 1:
        made["allOf"] = [{"$ref": made.pop("$ref")}]
    return made
