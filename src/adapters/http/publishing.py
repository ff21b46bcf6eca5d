"""`POST /api/v1/events`: events over HTTP."""

from typing import Any

import msgspec
from dishka.integrations.litestar import FromDishka, inject
from litestar import Request, post

from application.identify import IdentifyCaller
from application.publish import NewEvent, PublishEvents
from domain.errors import InvalidInput, ScopeMissing, TokenMissing
from domain.identity import find_token

SCOPE = "events:publish"

# Events of one request: as many as ingest stores in one transaction.
MOST_EVENTS = 500

_decode = msgspec.json.Decoder(NewEvent | list[NewEvent]).decode


class Accepted(msgspec.Struct, frozen=True):
    """The ids under which the events are stored, in the order they were sent."""

    ids: list[str]


@post("/api/v1/events", status_code=202)
@inject
async def publish_events(
    request: Request[Any, Any, Any], identify: FromDishka[IdentifyCaller], publish: FromDishka[PublishEvents]
) -> Accepted:
    """Publishes one event, or a list of them. Answered only once all are stored."""
    # No cookies: a page of another site could make a browser send them.
    identity = await identify.current(find_token(request.headers, [], {}, request.query_params))
    if not identity.may(SCOPE):
        raise TokenMissing if identity.user is None else ScopeMissing(SCOPE)
    try:
        events = _decode(await request.body())
    except msgspec.ValidationError as fault:
        text, _, path = str(fault).partition(" - at `$")
        raise InvalidInput(text, path.rstrip("`").lstrip(".") or None) from None
    except msgspec.DecodeError as fault:
        raise InvalidInput(f"The body is not JSON: {fault}") from None
    events = events if isinstance(events, list) else [events]
    if not 0 < len(events) <= MOST_EVENTS:
        raise InvalidInput(f"Send between 1 and {MOST_EVENTS} events at once.")
    return Accepted(await publish(events))
