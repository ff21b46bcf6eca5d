"""Checks every request to a path under `/api/` before its handler runs. Refuses query parameters that the handler does
not declare, `null` as the value of a parameter that is not text, and bodies with a media type that the handler does not
accept."""

from functools import lru_cache
from typing import Any, Final, get_args

from litestar.connection import ASGIConnection
from litestar.constants import RESERVED_KWARGS
from litestar.enums import ParamType
from litestar.exceptions import HTTPException, ValidationException
from litestar.handlers import BaseRouteHandler
from litestar.params import ParameterKwarg
from litestar.typing import FieldDefinition

from domain.public_url import PublicUrl

ROOT: Final = "/api/"

# Keys of a handler's `opt`. READS_BODY: True if the handler reads a body. ALSO_READS: a media type that it accepts in
# addition to JSON.
READS_BODY: Final = "reads_body"
ALSO_READS: Final = "also_reads"

Connection = ASGIConnection[Any, Any, Any, Any]


class UnknownParameter(HTTPException):
    """The query of a request has parameters that the operation does not declare. `names` has their names."""

    status_code = 400

    def __init__(self, names: list[str]) -> None:
        super().__init__()
        self.names = names


class UnsupportedMediaType(HTTPException):
    """The `Content-Type` of a request is not one that the operation accepts."""

    status_code = 415


def public_url_of(connection: Connection) -> PublicUrl:
    """Returns the public URL of the service (HERALD_PUBLIC_URL), which is put in front of paths in responses. Its
    `base` is "" if the setting is not set."""
    public_url: PublicUrl = connection.app.state.public_url
    return public_url


async def check_request(connection: Connection, handler: BaseRouteHandler) -> None:
    """Refuses invalid requests to paths under `/api/`; Litestar calls this guard before each handler. Raises
    UnknownParameter if the query has a parameter that the handler does not declare, ValidationException if a parameter
    that is not text is `null`, and UnsupportedMediaType if the handler reads a body and does not accept the
    `Content-Type` of the request."""
    # A coroutine function, because Litestar would run a synchronous guard in a thread.
    if not connection.scope["path"].startswith(ROOT):
        return
    # Litestar passes a copy of the handler to a guard; the scope has the original, which works as a cache key.
    known = query_parameters_of(connection.scope["route_handler"])
    unknown = set(connection.query_params) - known.keys()
    if unknown:
        raise UnknownParameter(sorted(unknown))
    # Litestar would treat `null` as a missing parameter: a filter that is null by mistake would select everything.
    nulls = [name for name, value in connection.query_params.items() if value.lower() == "null" and not known[name]]
    if nulls:
        raise ValidationException(
            extra=[{"key": name, "message": "`null` is not a valid value: leave the parameter out."} for name in nulls]
        )
    if _reads_body(handler) and not _is_accepted(connection.headers.get("content-type"), handler.opt.get(ALSO_READS)):
        raise UnsupportedMediaType


@lru_cache(256)
def query_parameters_of(handler: BaseRouteHandler) -> dict[str, bool]:
    """Returns the names of the query parameters that a handler and its dependencies declare, and for each whether it is
    declared as text: `{"type": True, "page": False}`."""
    dependencies = handler.resolve_dependencies()
    names: dict[str, bool] = {}
    asked = dict(handler.parsed_fn_signature.parameters)
    while asked:
        name, field = asked.popitem()
        if name in dependencies:
            asked.update(dependencies[name].parsed_fn_signature.parameters)
        elif name not in RESERVED_KWARGS and (called := _query_name(name, field)) is not None:
            names[called] = str in (field.annotation, *get_args(field.annotation))
    return names


def _query_name(name: str, field: FieldDefinition) -> str | None:
    declared = field.kwarg_definition
    if not isinstance(declared, ParameterKwarg):
        return name
    return (declared.name or name) if declared.param_type is ParamType.QUERY else None


def _reads_body(handler: BaseRouteHandler) -> bool:
    return bool(handler.opt.get(READS_BODY))


def _is_accepted(content_type: str | None, also: str | None) -> bool:
    """Returns whether a body with this `Content-Type` header is accepted: its media type must be JSON, one that ends
    with `+json`, or `also`. A body without the header is accepted too, and read as JSON."""
    if not content_type:
        return True
    media_type = content_type.partition(";")[0].strip().lower()
    json = media_type == "application/json" or (media_type.startswith("application/") and media_type.endswith("+json"))
    return json or media_type == also
