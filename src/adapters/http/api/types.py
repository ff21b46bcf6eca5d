"""`/api/v2/types`: the notification types and their titles."""

from typing import Annotated

import msgspec
from dishka.integrations.litestar import FromDishka, inject
from litestar import get
from msgspec import Meta

from adapters.http.auth import CALLER, User
from adapters.http.openapi.operation_parts import REFUSALS, problems
from application.inbox.list_types import ListTypes


class TypeOut(msgspec.Struct, frozen=True):
    """A notification type, as a list of preferences shows it to a user."""

    type: Annotated[
        str,
        Meta(
            description="The type: the `notification_type` of notifications, and the value in `muted_types`.",
            examples=["ticket_commented"],
        ),
    ]
    title: Annotated[
        str,
        Meta(
            description="The name of the type for users: plain text in one line, never HTML. If no profile declares a"
            " title, it is made from the type.",
            examples=["Comments on my tickets"],
        ),
    ]
    profiles: Annotated[
        list[str], Meta(description="The profiles whose routes lead to the type.", examples=[["helpdesk"]])
    ]


class TypeList(msgspec.Struct, frozen=True):
    """The notification types."""

    data: list[TypeOut]


@get(
    "/api/v2/types",
    summary="List notification types",
    response_description="The notification types.",
    responses=problems(*REFUSALS),
    dependencies=CALLER,
    tags=["preferences"],
)
@inject
async def list_types(user: User, types: FromDishka[ListTypes]) -> TypeList:
    """Returns the notification types that the server's routes name, with their titles, to be shown with the
    preferences: a user can mute each of them. The list is the same for all users. Types that only the events of
    publishers contain are not in it."""
    return TypeList([TypeOut(one.type, one.title, list(one.profiles)) for one in types()])
