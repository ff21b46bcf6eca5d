"""The OpenAPI document is valid by the schema of the specification, and has nothing that linters reject."""

from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

import pytest
from schemathesis.specs.openapi.definitions import OPENAPI_31_VALIDATOR

from entrypoints.app import create_app
from entrypoints.settings.loader import load


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return create_app(load({"DATABASE_URL": "memory:"}, "dev", {})).openapi_schema.to_schema()


def objects(value: Any, place: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every object of the document with its path."""
    if isinstance(value, dict):
        yield place, value
        for name, inner in value.items():
            if name not in ("example", "examples"):
                yield from objects(inner, f"{place}/{name}")
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from objects(inner, f"{place}/{number}")


def objects_with_references(value: Any, document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every object below a value, following references."""
    waiting, seen = [("", value)], set()
    while waiting:
        start, below = waiting.pop()
        for place, one in objects(below, start):
            yield place, one
            reference = one.get("$ref")
            if isinstance(reference, str) and reference not in seen:
                seen.add(reference)
                waiting.append((reference, document["components"]["schemas"][reference.rpartition("/")[2]]))


def test_it_is_valid_by_the_schema_of_openapi(document: dict[str, Any]) -> None:
    assert [str(error) for error in OPENAPI_31_VALIDATOR.iter_errors(document)] == []


def test_no_schema_has_both_any_of_and_one_of(document: dict[str, Any]) -> None:
    assert [place for place, one in objects(document) if {"anyOf", "oneOf"} <= one.keys()] == []


def test_every_header_has_a_schema(document: dict[str, Any]) -> None:
    found = [
        header
        for path in document["paths"].values()
        for operation in path.values()
        for response in operation["responses"].values()
        for header in response.get("headers", {}).values()
    ]
    assert found
    assert all({"schema", "content"} & header.keys() for header in found)


def test_nothing_with_a_default_is_required(document: dict[str, Any]) -> None:
    for place, one in objects(document):
        if isinstance(one.get("properties"), dict):
            required = one.get("required", [])
            # Some linters reject an empty list, which older drafts forbid.
            assert required or "requestBody" not in place or "required" not in one, place
            with_default = {name for name, schema in one["properties"].items() if "default" in schema}
            assert not with_default & set(required), place


def test_every_reference_and_required_name_exists(document: dict[str, Any]) -> None:
    for place, one in objects(document):
        if isinstance(one.get("$ref"), str):
            found: Any = document
            for part in one["$ref"].removeprefix("#/").split("/"):
                found = found[part]
        if isinstance(one.get("properties"), dict):
            assert set(one.get("required", [])) <= one["properties"].keys(), place


def test_operation_ids_are_unique(document: dict[str, Any]) -> None:
    ids = [operation["operationId"] for path in document["paths"].values() for operation in path.values()]
    assert len(ids) == len(set(ids))


def test_every_response_has_a_description_of_its_own(document: dict[str, Any]) -> None:
    defaults = {status.description for status in HTTPStatus}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            for status, response in operation["responses"].items():
                assert response["description"] not in defaults, (method, path, status)


def test_schemas_of_responses_allow_new_fields_and_values(document: dict[str, Any]) -> None:
    """A client generated from the document must accept the fields and values of later versions."""
    sent = {
        f"{path} {method} {status}": response
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
        for status, response in operation["responses"].items()
    }
    assert sent
    closed = [
        (operation, place)
        for operation, response in sent.items()
        for place, schema in objects_with_references(response, document)
        if schema.get("additionalProperties") is False or "unevaluatedProperties" in schema or "enum" in schema
    ]
    assert closed == []


def test_schemas_of_request_bodies_are_strict(document: dict[str, Any]) -> None:
    bodies = [
        schema
        for path in document["paths"].values()
        for operation in path.values()
        for _, schema in objects_with_references(operation.get("requestBody", {}), document)
        if "properties" in schema
    ]
    assert bodies
    assert all(schema["additionalProperties"] is False for schema in bodies)


def test_dates_have_one_of_two_formats(document: dict[str, Any]) -> None:
    parameters = document["paths"]["/api/v2/notifications"]["get"]["parameters"]
    dates = [one["schema"] for one in parameters if one["name"] in ("start_date", "end_date")]
    assert [schema["anyOf"] for schema in dates] == [
        [{"type": "string", "format": "date-time"}, {"type": "string", "format": "date"}]
    ] * 2
