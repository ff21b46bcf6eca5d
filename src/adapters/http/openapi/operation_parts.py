"""Parts of the OpenAPI document that operations share: error responses, and request bodies."""

from dataclasses import dataclass
from typing import Any, Final

import msgspec
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import OpenAPIMediaType, OpenAPIResponse, OpenAPIType, Operation, RequestBody, Schema

from adapters.http.errors.problem_catalogue import KINDS

MEDIA_TYPE: Final = "application/problem+json"

# The error statuses of operations that identify their caller.
REFUSALS: Final = (401, 403, 429, 503)

# The error statuses of every operation.
_ALWAYS: Final = (400, 500)


class FieldProblem(msgspec.Struct, frozen=True):
    """One invalid field or parameter."""

    field: str
    reason: str


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """An error response (RFC 9457). `code` identifies the kind of problem; it is stable, and meant for programs. `type`
    is the address of a page about this kind, `detail` describes what happened in a sentence.

    `field` is the invalid field of the request; `errors` lists several. `delivery_status` is the status of a delivery
    that can't be retried. `trace_id` is the id of the request in the server's log. Later versions may add fields and
    values.
    """

    type: str
    title: str
    status: int
    code: str
    detail: str = ""
    field: str | None = None
    errors: list[FieldProblem] = []
    delivery_status: str | None = None
    trace_id: str | None = None


def problems(*statuses: int) -> dict[int, ResponseSpec]:
    """Returns the `responses` of a handler that may fail with these statuses; 400 and 500 are always included."""
    return {status: _response(status) for status in sorted({*statuses, *_ALWAYS})}


def takes(body: Any, *, required: bool = True) -> type[Operation]:
    """Returns the `operation_class` of a handler whose request body is JSON of this type."""
    (schema,), parts = msgspec.json.schema_components([body], ref_template="#/components/schemas/{name}")
    inlined = _inlined(schema, parts)

    @dataclass
    class TakingBody(Operation):
        def __post_init__(self) -> None:
            content = {"application/json": OpenAPIMediaType(schema=inlined)}
            self.request_body = RequestBody(content=content, required=required)

    return TakingBody


def also_answers(*media_types: str) -> type[Operation]:
    """Returns the `operation_class` of a handler that also responds with these media types, if the request's `Accept`
    header contains them."""

    @dataclass
    class AnsweringMore(Operation):
        def __post_init__(self) -> None:
            answer = (self.responses or {})["200"]
            if isinstance(answer, OpenAPIResponse) and answer.content is not None:
                text = OpenAPIMediaType(schema=Schema(type=OpenAPIType.STRING))
                answer.content.update(dict.fromkeys(media_types, text))

    return AnsweringMore


def _inlined(schema: Any, parts: dict[str, Any]) -> Any:
    """Returns the schema with its references resolved. The document cannot contain them, because Litestar chooses the
    names of its components."""
    if isinstance(schema, dict):
        if "$ref" in schema:
            return _inlined(parts[schema["$ref"].rpartition("/")[2]], parts)
        # An empty `required` is left out: it has no effect, and draft 4 of JSON Schema forbids it.
        kept = {name: value for name, value in schema.items() if (name, value) != ("required", [])}
        return {name: _inlined(value, parts) for name, value in kept.items()}
    return [_inlined(one, parts) for one in schema] if isinstance(schema, list) else schema


def _response(status: int) -> ResponseSpec:
    kinds = [kind for kind in KINDS.values() if kind.status == status]
    if not kinds:
        raise ValueError(f"no problem has the status {status}")
    description = " ".join(f"`{kind.code}`: {kind.meaning}" for kind in kinds)
    return ResponseSpec(Problem, generate_examples=False, description=description, media_type=MEDIA_TYPE)
