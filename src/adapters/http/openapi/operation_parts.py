"""Functions with which handlers declare what Litestar can't derive for the OpenAPI document: error responses, request
bodies, and further media types of the response."""

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
    """An invalid field or query parameter of a request, and what is wrong with it (`reason`)."""

    field: str
    reason: str


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """The body of an error response (RFC 9457). `code` identifies the kind of problem; it is stable, so programs can
    depend on it. `type` is the address of a page that explains this kind of problem. `detail` says in a sentence what
    happened.

    The other fields are present only if they apply. `field` is the invalid field of the request; `errors` lists invalid
    fields and parameters with reasons. `delivery_status` is the status of the delivery that can't be retried.
    `trace_id` is the id under which the server has logged the request. Later versions may add fields, and values of
    `code`.
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
    """Returns the `responses` argument of a Litestar handler whose error responses have these HTTP statuses. 400 and
    500 are always included. Raises ValueError if the catalogue has no problem with a status."""
    return {status: _response(status) for status in sorted({*statuses, *_ALWAYS})}


def takes(body: Any, *, required: bool = True) -> type[Operation]:
    """Returns the `operation_class` argument of a Litestar handler whose request body is JSON of the type `body`. It
    adds the body to the OpenAPI document: Litestar can't derive it, because the handler decodes the body itself."""
    (schema,), parts = msgspec.json.schema_components([body], ref_template="#/components/schemas/{name}")
    inlined = _inlined(schema, parts)

    @dataclass
    class TakingBody(Operation):
        def __post_init__(self) -> None:
            content = {"application/json": OpenAPIMediaType(schema=inlined)}
            self.request_body = RequestBody(content=content, required=required)

    return TakingBody


def also_answers(*media_types: str) -> type[Operation]:
    """Returns the `operation_class` argument of a Litestar handler whose 200 response may have one of several media
    types, depending on the `Accept` header. It adds `media_types` to the OpenAPI document."""

    @dataclass
    class AnsweringMore(Operation):
        def __post_init__(self) -> None:
            answer = (self.responses or {})["200"]
            if isinstance(answer, OpenAPIResponse) and answer.content is not None:
                text = OpenAPIMediaType(schema=Schema(type=OpenAPIType.STRING))
                answer.content.update(dict.fromkeys(media_types, text))

    return AnsweringMore


def _inlined(schema: Any, parts: dict[str, Any]) -> Any:
    """Returns a JSON schema in which each `$ref` is replaced by the schema that it refers to. `parts` has these schemas
    by name. Empty `required` lists are left out."""
    # The document can't contain the references, because Litestar chooses the names of its components.
    if isinstance(schema, dict):
        if "$ref" in schema:
            return _inlined(parts[schema["$ref"].rpartition("/")[2]], parts)
        # An empty `required` is left out: it has no effect, and draft 4 of JSON Schema forbids it.
        kept = {name: value for name, value in schema.items() if (name, value) != ("required", [])}
        return {name: _inlined(value, parts) for name, value in kept.items()}
    return [_inlined(one, parts) for one in schema] if isinstance(schema, list) else schema


def _response(status: int) -> ResponseSpec:
    kinds = [kind for kind in KINDS.values() if kind.status == status and not kind.only_sessions]
    if not kinds:
        raise ValueError(f"no problem has the status {status}")
    description = " ".join(f"`{kind.code}`: {kind.meaning}" for kind in kinds)
    return ResponseSpec(Problem, generate_examples=False, description=description, media_type=MEDIA_TYPE)
