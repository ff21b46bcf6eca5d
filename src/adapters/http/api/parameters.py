"""The query parameters of lists."""

import re
from datetime import UTC, date, datetime, time
from typing import Annotated, Final

from litestar.openapi.spec import OpenAPIFormat, OpenAPIType, Schema
from litestar.params import Parameter

from domain.errors import InvalidInput
from domain.notifications import NotificationFilter
from domain.times import is_number, since_1970

LONGEST_LIST: Final = 100
DEFAULT_LIST: Final = 20

# What lies deeper than this is reached by cursor, and no database is asked to count further.
LAST_PAGE: Final = 1_000_000

WHEN: Final = (
    " ISO 8601: `2026-03-01T12:00:00Z`, or `2026-03-01`, which is the whole day; without a time zone it is UTC. Or"
    " digits only: seconds or milliseconds since 1970."
)

# In place of the `oneOf` that Litestar makes of an optional text: without formats checked, both would match.
MOMENT: Final = {
    "one_of": None,
    "any_of": [
        Schema(type=OpenAPIType.STRING, format=OpenAPIFormat.DATE_TIME),
        Schema(type=OpenAPIType.STRING, format=OpenAPIFormat.DATE),
    ],
}

Limit = Annotated[
    int | None,
    Parameter(description=f"How many to list, by cursor; {DEFAULT_LIST} if not given.", ge=1, le=LONGEST_LIST),
]
PageCursor = Annotated[
    str | None,
    Parameter(description="The `next_cursor` of a list: what is older. Not together with `page` or `size`."),
]
Page = Annotated[
    int | None,
    Parameter(description="List by page, from 1, and count them all. Not together with `cursor`.", ge=1, le=LAST_PAGE),
]
Size = Annotated[
    int | None,
    Parameter(
        description=f"How many make a page; {DEFAULT_LIST} if not given. Without `page`, page 1.",
        ge=1,
        le=LONGEST_LIST,
    ),
]
Type = Annotated[str | None, Parameter(description="Only this `notification_type`.", min_length=1)]
IsRead = Annotated[bool | None, Parameter(description="Only what is read, or only what is not.")]
Archived = Annotated[bool, Parameter(description="List what is archived instead of what is in the inbox.")]
StartDate = Annotated[
    str | None, Parameter(description=f"Only what was stored then or later.{WHEN}", schema_extra=MOMENT)
]
EndDate = Annotated[
    str | None, Parameter(description=f"Only what was stored then or earlier.{WHEN}", schema_extra=MOMENT)
]


async def notification_filter(
    type: Type = None,
    is_read: IsRead = None,
    archived: Archived = False,
    start_date: StartDate = None,
    end_date: EndDate = None,
) -> NotificationFilter:
    """What the filters of a list choose. Raises InvalidInput."""
    return NotificationFilter(
        type=type,
        read=is_read,
        archived=archived,
        start=moment(start_date, "start_date"),
        end=moment(end_date, "end_date", last=True),
    )


def moment(text: str | None, field: str, last: bool = False) -> datetime | None:
    """The time that a parameter says, in UTC: ISO 8601, or seconds or milliseconds since 1970. A date is its first
    moment, or with `last` its last. Raises InvalidInput."""
    if text is None:
        return None
    if is_number(text):
        if (found := since_1970(text)) is None:
            raise InvalidInput("These digits are neither seconds nor milliseconds since 1970.", field)
        return found
    # A '+' that was not escaped arrives as a blank.
    text = re.sub(r"(:\d\d(?:\.\d+)?) (\d\d:?\d\d)\Z", r"\1+\2", text)
    try:
        if "T" not in text and " " not in text:
            return datetime.combine(date.fromisoformat(text), time.max if last else time.min, UTC)
        found = datetime.fromisoformat(text)
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError):
        raise InvalidInput("This is no ISO 8601 date or time.", field) from None
