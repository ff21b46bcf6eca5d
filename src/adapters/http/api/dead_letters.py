"""`/api/v1/dead-letters`: events that could not be processed, for operators."""

from typing import Annotated, Any, Final
from uuid import UUID

from dishka.integrations.litestar import FromDishka, inject
from litestar import Request, Router, delete, get, post
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath, Parameter

from adapters.http.api.dead_letter_schemas import (
    DeadLetterList,
    DeadLetterListMeta,
    DeadLetterOut,
    DeadLetterSelection,
    DeadLetterWithMessage,
    Dropped,
    Replayed,
)
from adapters.http.api.list_parameters import DEFAULT_LIST, MAX_LIST_LENGTH, EndDate, StartDate
from adapters.http.auth import CALLER, guarded_by
from adapters.http.openapi.operation_parts import REFUSALS, problems, takes
from adapters.http.request_bodies import SMALL_BODY_BYTES, read_json_or_none
from adapters.http.request_checks import READS_BODY
from application.ingest.handle_dead_letters import MAX_PER_CALL, HandleDeadLetters
from domain.identity import Identity

SCOPE: Final = "admin"

Limit = Annotated[int, Parameter(description="The maximum number of items.", ge=1, le=MAX_LIST_LENGTH)]
Cursor = Annotated[
    UUID | None,
    Parameter(description="The `next_cursor` of the previous response: the request continues with older items."),
]
Source = Annotated[str | None, Parameter(description="Only dead letters whose event has this topic or routing key.")]
Reason = Annotated[str | None, Parameter(description="Only dead letters with this reason, for example `not_json`.")]


async def selection_in_query(
    source: Source = None,
    reason: Reason = None,
    start_date: StartDate = None,
    end_date: EndDate = None,
    cursor: Cursor = None,
) -> DeadLetterSelection:
    return DeadLetterSelection(source, reason, start_date, end_date, cursor)


async def selection_in_body(request: Request[Any, Any, Any], admin: NamedDependency[Identity]) -> DeadLetterSelection:
    """Returns the filters in the request's body. If the body is empty, returns filters that select all dead letters."""
    # The parameter `admin` is not used here. Litestar resolves it first, so a caller without the scope is refused
    # before the body is read.
    return await read_json_or_none(request, DeadLetterSelection) or DeadLetterSelection()


@get(
    summary="List dead letters",
    response_description="The dead letters, newest first.",
    responses=problems(*REFUSALS, 422),
)
@inject
async def list_dead_letters(
    admin: NamedDependency[Identity],
    chosen: NamedDependency[DeadLetterSelection],
    handle: FromDishka[HandleDeadLetters],
    limit: Limit = DEFAULT_LIST,
) -> DeadLetterList:
    """Lists dead letters, which are events that could not be processed, newest first. Each has the reason."""
    letters = await handle.newest(limit + 1, chosen.filter, chosen.cursor)
    listed = letters[:limit]
    more = listed[-1].id if len(letters) > limit else None
    return DeadLetterList(
        [DeadLetterOut.of(kept) for kept in listed], DeadLetterListMeta(more, await handle.count(chosen.filter))
    )


@get(
    "/{id:uuid}",
    summary="Get a dead letter",
    response_description="The dead letter.",
    responses=problems(*REFUSALS, 404),
)
@inject
async def get_dead_letter(
    admin: NamedDependency[Identity], id: FromPath[UUID], handle: FromDishka[HandleDeadLetters]
) -> DeadLetterWithMessage:
    """Returns a dead letter together with the original message: timestamp, key, headers and body."""
    return DeadLetterWithMessage.of(await handle.get(id))


@post(
    "/{id:uuid}/replay",
    status_code=200,
    summary="Replay a dead letter",
    response_description="The result: whether the event was processed or has failed again.",
    responses=problems(*REFUSALS, 404),
)
@inject
async def replay_dead_letter(
    admin: NamedDependency[Identity], id: FromPath[UUID], handle: FromDishka[HandleDeadLetters]
) -> Replayed:
    """Processes the event of a dead letter again, with the current routes. If the event is processed, the dead letter
    is deleted, and its id is in `replayed`. If the event fails again, the dead letter stays stored, and `failed` has
    the new reason. Users who were already notified of the event are not notified again."""
    return Replayed.of(await handle.replay(id))


@post(
    "/replay",
    status_code=200,
    summary="Replay dead letters",
    response_description="The ids of the replayed dead letters, and those that have failed again.",
    description="Processes the events of the dead letters that match all filters in the request body again, with the"
    f" current routes. Without a body, replays all dead letters. One request replays at most {MAX_PER_CALL:,}, newest"
    " first. If the response has a `next_cursor`, more dead letters match: repeat the request with the same filters and"
    " `next_cursor` as `cursor` in the body.",
    opt={READS_BODY: True},
    operation_class=takes(DeadLetterSelection | None, required=False),
    responses=problems(*REFUSALS, 408, 413, 415, 422),
)
@inject
async def replay_dead_letters(
    admin: NamedDependency[Identity],
    handle: FromDishka[HandleDeadLetters],
    chosen_in_body: NamedDependency[DeadLetterSelection],
) -> Replayed:
    return Replayed.of(await handle.replay_chosen(chosen_in_body.filter, chosen_in_body.cursor))


@delete(
    "/{id:uuid}",
    status_code=200,
    summary="Drop a dead letter",
    response_description="The number of deleted dead letters: 1, or 0 if it does not exist.",
    responses=problems(*REFUSALS, 404),
)
@inject
async def drop_dead_letter(
    admin: NamedDependency[Identity], id: FromPath[UUID], handle: FromDishka[HandleDeadLetters]
) -> Dropped:
    """Deletes a dead letter, and with it the message of the event; this can't be undone. `dropped` is 1 if the dead
    letter was deleted, and 0 if it does not exist."""
    return Dropped.of(await handle.drop(id))


@delete(
    status_code=200,
    summary="Drop dead letters",
    response_description="The number of deleted dead letters.",
    description="Deletes the dead letters that match all filters in the query. Without filters, deletes **all** dead"
    f" letters. One request deletes at most {MAX_PER_CALL:,}, newest first. If the response has a `next_cursor`, more"
    " dead letters match: repeat the request with the same filters and `next_cursor` as `cursor`.",
    responses=problems(*REFUSALS, 422),
)
@inject
async def drop_dead_letters(
    admin: NamedDependency[Identity],
    chosen: NamedDependency[DeadLetterSelection],
    handle: FromDishka[HandleDeadLetters],
) -> Dropped:
    return Dropped.of(await handle.drop_chosen(chosen.filter, chosen.cursor))


DEAD_LETTERS: Final = Router(
    "/api/v1/dead-letters",
    route_handlers=[
        list_dead_letters,
        get_dead_letter,
        replay_dead_letter,
        replay_dead_letters,
        drop_dead_letter,
        drop_dead_letters,
    ],
    dependencies={
        **CALLER,
        "admin": guarded_by(SCOPE),
        "chosen": Provide(selection_in_query),
        "chosen_in_body": Provide(selection_in_body),
    },
    request_max_body_size=SMALL_BODY_BYTES,
    tags=["dead letters"],
)
