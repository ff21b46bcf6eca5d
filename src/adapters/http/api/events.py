"""`POST /api/v1/events`: publishes events over HTTP, without a broker."""

import asyncio
from typing import Any

import msgspec
from dishka.integrations.litestar import FromDishka, inject
from litestar import Request, post

from adapters.http.auth import Token
from adapters.http.openapi.operation_parts import REFUSALS, problems, takes
from adapters.http.request_checks import ALSO_READS, READS_BODY
from adapters.web.tokens import find_token
from application.access.identify import IdentifyCaller
from application.access.limit_rate import LimitRate
from application.ingest.plan_events import LARGE_BYTES
from application.ingest.publish import MAX_EVENTS, NewEvent, PublishEvents
from domain.caller_errors import InvalidInput
from domain.identity import require_scope

SCOPE = "events:publish"

# The media type that `curl -d` sends with any body.
FORM = "application/x-www-form-urlencoded"

_decode = msgspec.json.Decoder(NewEvent | list[NewEvent]).decode


class Accepted(msgspec.Struct, frozen=True):
    """The response after events were stored: their ids, in the order of the events in the request."""

    ids: list[str]


@post(
    "/api/v1/events",
    status_code=202,
    tags=["events"],
    summary="Publish events",
    response_description="All events are stored, or were stored already.",
    opt={READS_BODY: True, ALSO_READS: FORM},
    operation_class=takes(NewEvent | list[NewEvent]),
    responses=problems(*REFUSALS, 408, 413, 415, 422),
)
@inject
async def publish_events(
    request: Request[Any, Any, Any],
    identify: FromDishka[IdentifyCaller],
    limit_rate: FromDishka[LimitRate],
    publish: FromDishka[PublishEvents],
    jwt: Token = None,
    token: Token = None,
) -> Accepted:
    """Publishes one event, or a list of up to 500 events. The response is sent when all events are stored. If one event
    is invalid, or lacks what its route needs (such as a user), the request is refused with 422 and no event is stored.

    Give each event an `id` (or its payload an `event_id`), so that you can repeat a request safely: an event that is
    already stored is not stored again. After a 503, repeat the request with the same ids. Some of the events, or of the
    notifications of an event, may have been stored by the failed request; the repeated request stores the rest.

    The request is also refused with 422 if an event is for more users than the server allows (`HERALD_MAX_RECIPIENTS`),
    or if the notifications of an event have more bytes together than the server allows (`HERALD_MAX_FANOUT_BYTES`).

    Needs the scope `events:publish`. Each event of the list counts as one towards the caller's rate limit. The body
    must be JSON. Its media type may also be `application/x-www-form-urlencoded`, because `curl -d` sends that.
    """
    # Cookies are not accepted, because a page of another site could make a browser send them.
    query = {"jwt": jwt or "", "token": token or ""}
    identity = require_scope(await identify.current(find_token(request.headers, [], {}, query)), SCOPE)
    body = await request.body()
    events = await asyncio.to_thread(_read, body) if len(body) > LARGE_BYTES else _read(body)
    await limit_rate("publish", identity, len(events))
    return Accepted(await publish(events))


def _read(body: bytes) -> list[NewEvent]:
    """Returns the events in a request's body: those of a list, or a single one. Raises InvalidInput if the body is not
    JSON in UTF-8, if an event has an invalid field, or if there are no events or more than 500."""
    try:
        events = _decode(body)
    except msgspec.ValidationError as error:
        text, _, path = str(error).partition(" - at `$")
        raise InvalidInput(text, path.rstrip("`").lstrip(".") or None) from None
    except msgspec.DecodeError as error:
        raise InvalidInput(f"The body is not JSON: {error}") from None
    except UnicodeDecodeError:
        raise InvalidInput("The body is not UTF-8.") from None
    events = events if isinstance(events, list) else [events]
    if not 0 < len(events) <= MAX_EVENTS:
        raise InvalidInput(f"Send between 1 and {MAX_EVENTS} events in one request.")
    return events
