"""`/api/v2/preferences`: through which channels the calling user receives notifications, and which types are muted."""

from datetime import datetime
from typing import Annotated, Any, Final

import msgspec
from dishka.integrations.litestar import FromDishka, inject
from litestar import Request, Router, get, patch, put
from litestar.di import NamedDependency, Provide
from msgspec import UNSET, Meta, UnsetType

from adapters.http.auth import CALLER, User
from adapters.http.openapi.operation_parts import REFUSALS, problems, takes
from adapters.http.request_bodies import SMALL_BODY_BYTES, read_json
from adapters.http.request_checks import READS_BODY
from application.inbox.set_preferences import SetPreferences
from domain.preferences import MAX_MUTED_TYPES, MAX_TYPE_LENGTH, Preferences

UNFIT: Final = (408, 413, 415, 422)

MutedTypes = Annotated[
    list[Annotated[str, Meta(min_length=1, max_length=MAX_TYPE_LENGTH)]],
    Meta(
        max_length=MAX_MUTED_TYPES,
        description="The muted types: notifications of these types are stored in the inbox as read, and are sent"
        " neither to connected clients nor by e-mail.",
        examples=[["ticket_closed"]],
    ),
]


class PreferencesOut(msgspec.Struct, frozen=True):
    """The preferences of a user. Every notification is stored in the inbox, whatever the preferences are.

    `websocket_notifications`: whether new notifications are sent immediately to connected clients, over WebSockets and
    event streams. `email_notifications`: whether notifications are sent by e-mail. `push_notifications` has no effect
    in Herald, which sends no notifications to phones; the value is stored for other services.
    """

    user_id: str
    email_notifications: bool
    push_notifications: bool
    websocket_notifications: bool
    muted_types: MutedTypes
    updated_at: Annotated[
        datetime | None, Meta(description="When the preferences were last changed; null if they have never been set.")
    ]

    @classmethod
    def of(cls, user: str, preferences: Preferences) -> "PreferencesOut":
        return cls(user, **msgspec.to_builtins(preferences, builtin_types=(datetime,)))


class NewPreferences(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """New values of all preferences. Fields that are left out are set to their defaults: all channels on, no muted
    types."""

    email_notifications: bool = True
    push_notifications: bool = True
    websocket_notifications: bool = True
    muted_types: MutedTypes = []

    def preferences(self) -> Preferences:
        return msgspec.convert(self, Preferences, from_attributes=True)


class PreferencesPatch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """New values of some preferences. The preferences whose fields are left out stay unchanged."""

    email_notifications: bool | UnsetType = UNSET
    push_notifications: bool | UnsetType = UNSET
    websocket_notifications: bool | UnsetType = UNSET
    muted_types: MutedTypes | UnsetType = UNSET

    def changes(self) -> dict[str, Any]:
        """Returns the fields that the request contains, as keyword arguments of SetPreferences.patch."""
        found = {name: getattr(self, name) for name in self.__struct_fields__ if getattr(self, name) is not UNSET}
        if "muted_types" in found:
            found["muted_types"] = tuple(found["muted_types"])
        return found


async def new_preferences(request: Request[Any, Any, Any], user: User) -> NewPreferences:
    """Returns the decoded body of a request that replaces the preferences. Raises what `read_json` raises."""
    # `user` is not used here. Litestar resolves it first, so an anonymous caller is refused before the body is read.
    return await read_json(request, NewPreferences)


async def preferences_patch(request: Request[Any, Any, Any], user: User) -> PreferencesPatch:
    """Returns the decoded body of a request that changes some preferences. Raises what `read_json` raises."""
    # `user` is not used here. Litestar resolves it first, so an anonymous caller is refused before the body is read.
    return await read_json(request, PreferencesPatch)


@get("/", summary="Get preferences", response_description="The preferences.", responses=problems(*REFUSALS))
@inject
async def get_preferences(user: User, preferences: FromDishka[SetPreferences]) -> PreferencesOut:
    """Returns the preferences of the calling user. If the user has never set any, returns the defaults: all channels
    are on, and no type is muted."""
    return PreferencesOut.of(user, await preferences.get(user))


@put(
    "/",
    summary="Replace preferences",
    response_description="The new preferences.",
    opt={READS_BODY: True},
    responses=problems(*REFUSALS, *UNFIT),
    operation_class=takes(NewPreferences),
)
@inject
async def replace_preferences(
    user: User, preferences: FromDishka[SetPreferences], replacement: NamedDependency[NewPreferences]
) -> PreferencesOut:
    """Replaces all preferences; fields that are left out are set to their defaults. The new preferences apply to
    notifications that are stored, and mails that are sent, after this request."""
    return PreferencesOut.of(user, await preferences.replace(user, replacement.preferences()))


@patch(
    "/",
    summary="Change preferences",
    response_description="All preferences, after the change.",
    opt={READS_BODY: True},
    responses=problems(*REFUSALS, *UNFIT),
    operation_class=takes(PreferencesPatch),
)
@inject
async def patch_preferences(
    user: User, preferences: FromDishka[SetPreferences], changes: NamedDependency[PreferencesPatch]
) -> PreferencesOut:
    """Changes the preferences that the body contains; all others stay unchanged. The new preferences apply to
    notifications that are stored, and mails that are sent, after this request."""
    return PreferencesOut.of(user, await preferences.patch(user, **changes.changes()))


preferences = Router(
    "/api/v2/preferences",
    route_handlers=[get_preferences, replace_preferences, patch_preferences],
    dependencies={
        **CALLER,
        "replacement": Provide(new_preferences),
        "changes": Provide(preferences_patch),
    },
    request_max_body_size=SMALL_BODY_BYTES,
    tags=["preferences"],
)
