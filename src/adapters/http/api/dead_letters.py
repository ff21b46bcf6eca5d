"""`/api/v1/dead-letters`: events that could not be processed, for those who run Herald."""

from typing import Annotated, Any, Final
from uuid import UUID

from dishka.integrations.litestar import FromDishka, inject
from litestar import Request, Router, delete, get, post
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath, Parameter

from adapters.http.api.dead_letter_schemas import (
    ChosenLetters,
    Dropped,
    Letter,
    LetterList,
    LetterListMeta,
    Replayed,
    WholeLetter,
)
from adapters.http.api.parameters import DEFAULT_LIST, LONGEST_LIST, EndDate, StartDate
from adapters.http.auth import CALLER, guarded_by
from adapters.http.bodies import SMALL_BODY_BYTES, read_json_or_none
from adapters.http.openapi.operations import REFUSALS, problems, takes
from adapters.http.requests import READS_BODY
from application.ingest.handle_dead_letters import MOST, HandleDeadLetters
from domain.identity import Identity

SCOPE: Final = "admin"

Limit = Annotated[int, Parameter(description="How many to list.", ge=1, le=LONGEST_LIST)]
Cursor = Annotated[UUID | None, Parameter(description="The `next_cursor` of the answer before: what is older.")]
Source = Annotated[str | None, Parameter(description="Only those of this topic or routing key.")]
Reason = Annotated[str | None, Parameter(description="Only those with this reason, such as `not_json`.")]


async def chosen_by_query(
    source: Source = None,
    reason: Reason = None,
    start_date: StartDate = None,
    end_date: EndDate = None,
    cursor: Cursor = None,
) -> ChosenLetters:
    return ChosenLetters(source, reason, start_date, end_date, cursor)


async def chosen_by_body(request: Request[Any, Any, Any], admin: NamedDependency[Identity]) -> ChosenLetters:
    """The body, read once the caller is known; an empty one chooses all."""
    return await read_json_or_none(request, ChosenLetters) or ChosenLetters()


@get(summary="List dead letters", responses=problems(*REFUSALS, 422))
@inject
async def list_dead_letters(
    admin: NamedDependency[Identity],
    chosen: NamedDependency[ChosenLetters],
    handle: FromDishka[HandleDeadLetters],
    limit: Limit = DEFAULT_LIST,
) -> LetterList:
    """Newest first."""
    letters = await handle.newest(limit + 1, chosen.filter, chosen.cursor)
    listed = letters[:limit]
    more = listed[-1].id if len(letters) > limit else None
    return LetterList([Letter.of(kept) for kept in listed], LetterListMeta(more, await handle.count(chosen.filter)))


@get("/{id:uuid}", summary="Look at a dead letter", responses=problems(*REFUSALS, 404))
@inject
async def get_dead_letter(
    admin: NamedDependency[Identity], id: FromPath[UUID], handle: FromDishka[HandleDeadLetters]
) -> WholeLetter:
    """With the bytes of its message, as they came."""
    return WholeLetter.of(await handle.get(id))


@post(
    "/{id:uuid}/replay",
    status_code=200,
    summary="Replay a dead letter",
    responses=problems(*REFUSALS, 404),
)
@inject
async def replay_dead_letter(
    admin: NamedDependency[Identity], id: FromPath[UUID], handle: FromDishka[HandleDeadLetters]
) -> Replayed:
    """Puts its event through the routes again. Nobody is notified twice; a letter that fails again stays."""
    return Replayed.of(await handle.replay(id))


@post(
    "/replay",
    status_code=200,
    summary="Replay dead letters",
    description=f"Replays those that the body chooses, or all: the newest {MOST:,}, from `next_cursor` on the next.",
    opt={READS_BODY: True},
    operation_class=takes(ChosenLetters | None, required=False),
    responses=problems(*REFUSALS, 408, 413, 415, 422),
)
@inject
async def replay_dead_letters(
    admin: NamedDependency[Identity],
    handle: FromDishka[HandleDeadLetters],
    chosen_in_body: NamedDependency[ChosenLetters],
) -> Replayed:
    return Replayed.of(await handle.replay_chosen(chosen_in_body.filter, chosen_in_body.cursor))


@delete("/{id:uuid}", status_code=200, summary="Drop a dead letter", responses=problems(*REFUSALS, 404))
@inject
async def drop_dead_letter(
    admin: NamedDependency[Identity], id: FromPath[UUID], handle: FromDishka[HandleDeadLetters]
) -> Dropped:
    """Gives its event up. Dropping what is not there changes nothing."""
    return Dropped.of(await handle.drop(id))


@delete(
    status_code=200,
    summary="Drop dead letters",
    description=f"Drops those that the query chooses, or all: the newest {MOST:,}, from `next_cursor` on the next.",
    responses=problems(*REFUSALS, 422),
)
@inject
async def drop_dead_letters(
    admin: NamedDependency[Identity], chosen: NamedDependency[ChosenLetters], handle: FromDishka[HandleDeadLetters]
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
        "chosen": Provide(chosen_by_query),
        "chosen_in_body": Provide(chosen_by_body),
    },
    request_max_body_size=SMALL_BODY_BYTES,
    tags=["dead letters"],
)
