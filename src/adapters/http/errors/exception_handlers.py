"""Exception handlers of Litestar, which convert exceptions to problem+json responses (RFC 9457) with a stable `code`.

A response never contains a stack trace, or the text of an unexpected exception.
"""

import math
from typing import Any, Final

import msgspec
import structlog
from litestar import Litestar, Request, Response
from litestar.exceptions import HTTPException, ValidationException
from litestar.response.base import ASGIResponse
from litestar.types import ExceptionHandlersMap

from adapters.http.errors.problem_catalogue import KINDS, address_of
from adapters.http.middleware.request_log import client_disconnected, request_id_of
from adapters.http.openapi.operation_parts import MEDIA_TYPE, FieldProblem, Problem
from adapters.http.request_bodies import NotJson
from adapters.http.request_checks import UnknownParameter, public_url_of
from application.ports.store import StoreUnavailable, Unstorable
from domain import caller_errors
from domain.public_url import PublicUrl

log = structlog.get_logger(__name__)

# The codes of problems for exceptions that have only an HTTP status, by that status.
_CODES: Final = {
    400: "invalid_request",
    401: "token_missing",
    403: "access_refused",
    404: "not_found",
    405: "method_not_allowed",
    408: "body_timeout",
    413: "too_large",
    415: "unsupported_media_type",
    429: "too_many_requests",
    503: "unavailable",
}

AnyRequest = Request[Any, Any, Any]


class ProblemResponse(Response[Any]):
    """The HTTP response for a problem. `content.type` is a path, such as `/problems/not_found`; the body that is sent
    has the server's public URL in front of this path."""

    content: Problem | bytes

    def encoded(self, public_url: PublicUrl) -> bytes:
        if not isinstance(self.content, Problem):
            return self.content
        return msgspec.json.encode(msgspec.structs.replace(self.content, type=public_url.of(self.content.type)))

    def to_asgi_response(self, app: Litestar | None, request: AnyRequest, **options: Any) -> ASGIResponse:
        self.content = self.encoded(public_url_of(request))
        return super().to_asgi_response(app, request, **options)


def problem(code: str, detail: str = "", *, retry_after: float | None = None, **more: Any) -> ProblemResponse:
    """Returns the problem+json response for a `code` of the catalogue. `detail` describes what happened in a sentence.
    `retry_after`, in seconds, is rounded up and sent instead of the catalogue's value. `more` sets further fields of
    the body, such as `field` or `errors` (see Problem)."""
    kind = KINDS[code]
    headers = {}
    if kind.status == 401:
        headers["www-authenticate"] = "Bearer"
    seconds = kind.retry_after if retry_after is None else max(1, math.ceil(retry_after))
    if seconds is not None:
        headers["retry-after"] = str(seconds)
    body = Problem(address_of(code), kind.title, kind.status, code, detail, **more)
    return ProblemResponse(body, status_code=kind.status, media_type=MEDIA_TYPE, headers=headers)


def _herald_error(request: AnyRequest, error: caller_errors.HeraldError) -> ProblemResponse:
    if error.code not in KINDS:
        return _unexpected(request, error)
    if KINDS[error.code].status == 503:
        _log_unavailable(request, error.detail)
    field = error.field if isinstance(error, caller_errors.InvalidInput) else None
    wait = error.retry_after if isinstance(error, caller_errors.TooManyRequests) else None
    status = error.status if isinstance(error, caller_errors.NotFailed) else None
    return problem(error.code, error.detail, retry_after=wait, field=field, delivery_status=status)


def _unavailable(request: AnyRequest, error: Exception) -> ProblemResponse:
    _log_unavailable(request, str(error))
    return problem("unavailable", caller_errors.Unavailable.text)


def _log_unavailable(request: AnyRequest, error: str) -> None:
    log.warning(
        "request_unavailable",
        method=request.method,
        path=request.scope["path"],
        error=error,
    )


def _unstorable(_: AnyRequest, __: Unstorable) -> ProblemResponse:
    return problem("invalid_input", "A string in the request can't be stored, for example because it contains U+0000.")


def _validation(_: AnyRequest, error: ValidationException) -> ProblemResponse:
    faults = error.extra if isinstance(error.extra, list) else []
    found = [FieldProblem(_invalid_field(fault), str(fault.get("message", ""))) for fault in faults]
    return problem("invalid_request", "Validation failed; see `errors`.", errors=found)


def _invalid_field(fault: dict[str, Any]) -> str:
    """Returns what one validation error of Litestar is about: the name of a parameter, the path of a field in the body,
    or `body` for the body as a whole (Litestar's key for it is `data`)."""
    key = str(fault.get("key", ""))
    return "body" if key == "data" else key


def _unknown_parameter(_: AnyRequest, error: UnknownParameter) -> ProblemResponse:
    unknown = [FieldProblem(name, "This operation has no parameter of this name.") for name in error.names]
    return problem("unknown_parameter", "The query has unknown parameters; see `errors`.", errors=unknown)


def _http_exception(request: AnyRequest, error: HTTPException) -> ProblemResponse:
    """Returns the response for an exception that has an HTTP status: an exception of Litestar, or one of adapters.http
    such as NotJson. The response does not contain the text of the exception."""
    # In this text Litestar may quote the request, including tokens.
    status = error.status_code
    if status >= 500 and client_disconnected(request.scope):
        # The client disconnected before its body was complete.
        return problem("invalid_request", "The body is not complete.")
    if status not in _CODES and status >= 500:
        return _unexpected(request, error)
    answer = problem(
        _CODES.get(status, "invalid_request"), "The body is not JSON." if isinstance(error, NotJson) else ""
    )
    for name, value in (error.headers or {}).items():
        answer.headers[name] = value
    return answer


def _not_utf8(_: AnyRequest, __: UnicodeDecodeError) -> ProblemResponse:
    """Returns the response for a request whose body is not UTF-8: msgspec then raises UnicodeDecodeError instead of
    DecodeError."""
    return problem("invalid_request", "The body is not UTF-8.")


def _too_deep(_: AnyRequest, __: RecursionError) -> ProblemResponse:
    return problem("invalid_request", "The body is nested too deeply.")


def _unexpected(request: AnyRequest, error: Exception) -> ProblemResponse:
    trace_id = request_id_of(request.scope)
    log.error("request_failed", path=request.scope["path"], exc_info=error)
    return problem("internal", caller_errors.HeraldError.text, trace_id=trace_id)


EXCEPTION_HANDLERS: Final[ExceptionHandlersMap] = {
    caller_errors.HeraldError: _herald_error,
    StoreUnavailable: _unavailable,
    Unstorable: _unstorable,
    ValidationException: _validation,
    UnknownParameter: _unknown_parameter,
    HTTPException: _http_exception,
    RecursionError: _too_deep,
    UnicodeDecodeError: _not_utf8,
    Exception: _unexpected,
}
