"""Makes `clients/javascript/types/api.d.ts`, the TypeScript types of the REST API, from the OpenAPI document of the
application: `python -m scripts.client_types`."""

import asyncio
import json
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from tests.support.app import in_process

FILE: Final = Path(__file__).parents[1] / "clients" / "javascript" / "types" / "api.d.ts"

_HEAD: Final = """\
// The bodies of the REST API. Made from the OpenAPI document by `task docs`: do not edit.

/** Any JSON value. */
export type Json = null | boolean | number | string | Json[] | { [name: string]: Json };
"""

_SIMPLE: Final = {
    "string": "string",
    "integer": "number",
    "number": "number",
    "boolean": "boolean",
    "null": "null",
    "object": "{ [name: string]: Json }",
}


async def document() -> dict[str, Any]:
    """Return the OpenAPI document of the application."""
    async with in_process() as client:
        response = await client.get("/schema/openapi.json")
    content: dict[str, Any] = response.json()
    return content


def types_of(openapi: dict[str, Any]) -> str:
    """Return the text of `api.d.ts`: one type for each schema that the document names."""
    schemas: dict[str, dict[str, Any]] = openapi["components"]["schemas"]
    return "\n".join((_HEAD, *(_declaration(name, schemas[name]) for name in sorted(schemas))))


def _declaration(name: str, schema: dict[str, Any]) -> str:
    comment = "".join(_comment(schema.get("description", ""), indent=""))
    if "properties" not in schema:
        return f"{comment}export type {name} = {_type(schema)};\n"
    required = set(schema.get("required", ()))
    fields = "".join(_field(key, value, key in required) for key, value in schema["properties"].items())
    return f"{comment}export interface {name} {{\n{fields}}}\n"


def _field(name: str, schema: dict[str, Any], is_required: bool) -> str:
    comment = "".join(_comment(schema.get("description", ""), indent="  "))
    key = name if name.isidentifier() else json.dumps(name)
    return f"{comment}  {key}{'' if is_required else '?'}: {_type(schema)};\n"


def _comment(description: str, indent: str) -> Iterator[str]:
    if not description:
        return
    lines = textwrap.wrap(description.replace("*/", "* /"), 116 - len(indent))
    if len(lines) == 1:
        yield f"{indent}/** {lines[0]} */\n"
        return
    yield f"{indent}/**\n"
    yield from (f"{indent} * {line}\n" for line in lines)
    yield f"{indent} */\n"


def _type(schema: dict[str, Any]) -> str:
    """Return the TypeScript type of a schema. A schema that allows everything is `Json`."""
    match schema:
        case {"$ref": str() as reference}:
            return reference.rpartition("/")[2]
        case {"const": value}:
            return json.dumps(value)
        case {"enum": list() as values}:
            return " | ".join(json.dumps(value) for value in values)
        case {"oneOf": list() as options} | {"anyOf": list() as options}:
            return " | ".join(dict.fromkeys(_type(option) for option in options))
        case {"type": list() as names}:
            return " | ".join(_type(schema | {"type": name}) for name in names)
        case {"type": "array"}:
            item = _type(schema.get("items", {}))
            return f"({item})[]" if " | " in item else f"{item}[]"
        case {"type": "object", "additionalProperties": dict() as values}:
            return f"{{ [name: string]: {_type(values)} }}"
        case {"type": str() as name}:
            return _SIMPLE[name]
    return "Json"


if __name__ == "__main__":
    FILE.write_text(types_of(asyncio.run(document())), encoding="utf-8")
