"""The query parameters of operations that list something, and the functions that parse their values."""

import re
from datetime import UTC, date, datetime, time
from typing import Annotated, Final

from litestar.openapi.spec import OpenAPIFormat, OpenAPIType, Schema
from litestar.params import Parameter

from domain.caller_errors import InvalidInput
from domain.notifications import NotificationFilter
from domain.unix_times import is_number, since_1970

MAX_LIST_LENGTH: Final = 100
DEFAULT_LIST: Final = 20

# Limits how many rows the database has to skip for a page. Older items can be listed by cursor.
MAX_PAGE: Final = 1_000_000

WHEN: Final = (
    " The value is a time in ISO 8601, such as `2026-03-01T12:00:00Z`; or a date, such as `2026-03-01`, which"
    " includes the whole day; or a number, which is the seconds or milliseconds since 1970. Without a time zone, UTC is"
    " assumed."
)

# Replaces the `oneOf` that Litestar generates for optional text: a validator that ignores formats would match both
# alternatives, which `oneOf` forbids.
MOMENT: Final = {
    "one_of": None,
    "any_of": [
        Schema(type=OpenAPIType.STRING, format=OpenAPIFormat.DATE_TIME),
        Schema(type=OpenAPIType.STRING, format=OpenAPIFormat.DATE),
    ],
}

Limit = Annotated[
    int | None,
    Parameter(
        description=f"The maximum number of items; {DEFAULT_LIST} if not given. Not allowed together with `page` or"
        " `size`.",
        ge=1,
        le=MAX_LIST_LENGTH,
    ),
]
PageCursor = Annotated[
    str | None,
    Parameter(
        description="The `next_cursor` of the previous response: the request continues with older items. Not allowed"
        " together with `page` or `size`."
    ),
]
Page = Annotated[
    int | None,
    Parameter(
        description="The page number, counted from 1. Not allowed together with `cursor` or `limit`.",
        ge=1,
        le=MAX_PAGE,
    ),
]
Size = Annotated[
    int | None,
    Parameter(
        description=f"The number of items per page; {DEFAULT_LIST} if not given. Not allowed together with `cursor` or"
        " `limit`.",
        ge=1,
        le=MAX_LIST_LENGTH,
    ),
]
Type = Annotated[str | None, Parameter(description="Only notifications with this `notification_type`.", min_length=1)]
IsRead = Annotated[bool | None, Parameter(description="Only read (`true`) or unread (`false`) notifications.")]
Archived = Annotated[
    bool,
    Parameter(
        description="If `true`, only archived notifications are listed; otherwise only those that are not archived."
    ),
]
StartDate = Annotated[
    str | None, Parameter(description=f"Only items stored at this time or later.{WHEN}", schema_extra=MOMENT)
]
EndDate = Annotated[
    str | None, Parameter(description=f"Only items stored at this time or earlier.{WHEN}", schema_extra=MOMENT)
]


async def notification_filter(
    type: Type = None,
    is_read: IsRead = None,
    archived: Archived = False,
    start_date: StartDate = None,
    end_date: EndDate = None,
) -> NotificationFilter:
    """Returns the filters of `GET /api/v2/notifications`, parsed from the query. Raises InvalidInput if a value is
    invalid."""
    return NotificationFilter(
        type=type,
        read=is_read,
        archived=archived,
        start=moment(start_date, "start_date"),
        end=moment(end_date, "end_date", last=True),
    )


def moment(text: str | None, field: str, last: bool = False) -> datetime | None:
    """Parses the value of a query parameter to a time in UTC: a time or a date in ISO 8601, or a number, which is the
    seconds or milliseconds since 1970. For a date, returns the first microsecond of that day; if `last` is true, the
    last microsecond. Returns None if `text` is None. Raises InvalidInput with the name `field` if `text` is neither a
    time nor a date nor such a number."""
    if text is None:
        return None
    if is_number(text):
        if (found := since_1970(text)) is None:
            raise InvalidInput("This number is neither seconds nor milliseconds since 1970.", field)
        return found
    # An unescaped '+' of a time zone arrives as a space.
    text = re.sub(r"(:\d\d(?:\.\d+)?) (\d\d:?\d\d)\Z", r"\1+\2", text)
    try:
        if "T" not in text and " " not in text:
            return datetime.combine(date.fromisoformat(text), time.max if last else time.min, UTC)
        found = datetime.fromisoformat(text)
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError):
        raise InvalidInput("This is not an ISO 8601 date or time.", field) from None
