"""Errors over HTTP: RFC 9457 problem+json, each with a stable `code`; never a stack or an exception's own text."""

from typing import Any, Final

import msgspec
import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException
from litestar.types import ExceptionHandlersMap

from adapters.http.middleware import request_id_of
from application.ports.backplane import BackplaneUnavailable
from application.ports.store import StoreUnavailable
from domain import errors

log = structlog.get_logger(__name__)

_STATUS: Final[dict[type[errors.HeraldError], int]] = {
    errors.TokenMissing: 401,
    errors.TokenInvalid: 401,
    errors.TokenExpired: 401,
    errors.SignedOut: 401,
    errors.NotYours: 403,
    errors.ScopeMissing: 403,
    errors.TooManySessions: 429,
    errors.Draining: 503,
    errors.Unavailable: 503,
    errors.InvalidInput: 422,
}

# Stable codes for what Litestar refuses before any of our code is asked.
_CODES: Final = {
    400: "invalid_request",
    401: "token_missing",
    403: "access_refused",
    404: "not_found",
    405: "method_not_allowed",
    413: "too_large",
    415: "unsupported_media_type",
    429: "too_many_requests",
}

# Seconds, where trying again later can help.
_RETRY_AFTER: Final = {429: "5", 503: "2"}


def problem(status: int, code: str, title: str, **more: Any) -> Response[bytes]:
    """A problem+json answer."""
    headers = {}
    if status == 401:
        headers["www-authenticate"] = "Bearer"
    if status in _RETRY_AFTER:
        headers["retry-after"] = _RETRY_AFTER[status]
    body = {"type": "about:blank", "title": title, "status": status, "code": code}
    body |= {name: value for name, value in more.items() if value is not None}
    return Response(
        msgspec.json.encode(body), status_code=status, media_type="application/problem+json", headers=headers
    )


def _herald_error(_: Request[Any, Any, Any], error: errors.HeraldError) -> Response[bytes]:
    field = error.field if isinstance(error, errors.InvalidInput) else None
    return problem(_STATUS[type(error)], error.code, error.detail, field=field)


def _unavailable(_: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    log.warning("unavailable", fault=str(error))
    return problem(503, errors.Unavailable.code, errors.Unavailable.text)


def _validation(_: Request[Any, Any, Any], error: ValidationException) -> Response[bytes]:
    return problem(400, "invalid_request", error.detail, errors=error.extra or None)


def _http(_: Request[Any, Any, Any], error: HTTPException) -> Response[bytes]:
    status = error.status_code
    return problem(status, _CODES.get(status, "http_error"), error.detail)


def _too_deep(_: Request[Any, Any, Any], __: RecursionError) -> Response[bytes]:
    return problem(400, "invalid_request", "The body is nested too deeply.")


def _unexpected(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    log.error("request failed", path=request.scope["path"], exc_info=error)
    return problem(500, "internal", errors.HeraldError.text, request_id=request_id_of(request.scope))


EXCEPTION_HANDLERS: Final[ExceptionHandlersMap] = {
    errors.HeraldError: _herald_error,
    StoreUnavailable: _unavailable,
    BackplaneUnavailable: _unavailable,
    ValidationException: _validation,
    HTTPException: _http,
    RecursionError: _too_deep,
    Exception: _unexpected,
}
