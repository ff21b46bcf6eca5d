"""`/api/v1/notifications`: the delivery log, which has the status of each delivery and every attempt to send it. (The
path is that of a replaced service; a user's inbox is at `/api/v2/notifications`.)"""

from typing import Annotated, Final
from uuid import UUID

from dishka.integrations.litestar import FromDishka, inject
from litestar import Router, get, post
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath, Parameter, QueryParameter

from adapters.http.api.delivery_schemas import DeliveryItem, DeliveryList, DeliveryWithAttempts
from adapters.http.api.list_parameters import DEFAULT_LIST, MAX_LIST_LENGTH, MAX_PAGE, MOMENT, WHEN, moment
from adapters.http.auth import CALLER, guarded_by
from adapters.http.openapi.operation_parts import REFUSALS, problems
from application.delivery.handle_deliveries import HandleDeliveries
from application.ports.deliveries import DeliveryFilter
from domain.caller_errors import InvalidInput
from domain.deliveries import Status
from domain.email_addresses import as_address
from domain.identity import Identity
from domain.storable_text import require_storable

READ: Final = "deliveries:read"
RETRY: Final = "admin"

Recipient = Annotated[
    str | None,
    Parameter(description="Only deliveries to this e-mail address. Needs the scope `admin`. Write `+` as `%2B`."),
]
OnlyStatus = Annotated[Status | None, Parameter(description="Only deliveries with this status.")]
OrderId = Annotated[
    str | None,
    Parameter(
        description="Only deliveries about the order with this number. The number of a delivery's order is the value of"
        " the payload field that the route names as `reference`."
    ),
]
OfUser = Annotated[
    str | None,
    # Not `user_id`: in open mode that parameter identifies the caller.
    QueryParameter(name="user", description="Only deliveries whose `user_id` is this user."),
]
EventId = Annotated[str | None, Parameter(description="Only deliveries of the event with this id.")]
Since = Annotated[
    str | None, Parameter(description=f"Only deliveries created at this time or later.{WHEN}", schema_extra=MOMENT)
]
Refused = Annotated[
    bool | None,
    Parameter(
        description="`true`: only deliveries that failed permanently, because the mail server refused the mail or it"
        " could not be rendered. `false`: only deliveries that failed after the maximum number of attempts."
    ),
]
Page = Annotated[
    int | None,
    Parameter(description="The page number, counted from 1. Not allowed together with `cursor`.", ge=1, le=MAX_PAGE),
]
PageSize = Annotated[int, Parameter(description="The maximum number of items.", ge=1, le=MAX_LIST_LENGTH)]
Cursor = Annotated[
    UUID | None,
    Parameter(
        description="The `next_cursor` of the previous response: the request continues with older items. Not allowed"
        " together with `page`."
    ),
]


async def delivery_filter(
    recipient: Recipient = None,
    status: OnlyStatus = None,
    order_id: OrderId = None,
    user: OfUser = None,
    event_id: EventId = None,
    since: Since = None,
    refused: Refused = None,
) -> DeliveryFilter:
    """Returns the filters of `GET /api/v1/notifications`, parsed from the query. Raises InvalidInput if a value is
    invalid."""
    return DeliveryFilter(
        recipient=None if recipient is None else _address(recipient),
        status=status,
        reference=None if order_id is None else require_storable(order_id, "order_id"),
        user=None if user is None else require_storable(user, "user"),
        event_id=None if event_id is None else require_storable(event_id, "event_id"),
        since=moment(since, "since"),
        refused=refused,
    )


def _address(text: str) -> str:
    if any(character.isspace() for character in text.strip(" ")):
        raise InvalidInput("An address contains no spaces. In a URL, + means a space: write + as %2B.", "recipient")
    return as_address(require_storable(text, "recipient"))


@get(
    summary="List deliveries", response_description="The deliveries, newest first.", responses=problems(*REFUSALS, 422)
)
@inject
async def list_deliveries(
    reader: NamedDependency[Identity],
    only: NamedDependency[DeliveryFilter],
    handle: FromDishka[HandleDeliveries],
    page: Page = None,
    page_size: PageSize = DEFAULT_LIST,
    cursor: Cursor = None,
) -> DeliveryList:
    """Lists deliveries, newest first. Without `page` and `cursor`, returns the first page.

    To read many deliveries, pass the `next_cursor` of each response as `cursor` of the next request. Then every page
    takes the same time, and deliveries that are created meanwhile do not shift the pages. With `page`, high page
    numbers are slower. The response has the `total` only if the request has no `cursor`.
    """
    if cursor is not None:
        if page is not None:
            raise InvalidInput("Use either page or cursor.", "cursor")
        return DeliveryList.of(await handle.by_cursor(reader, only, page_size, cursor), None, page_size)
    page = page or 1
    return DeliveryList.of(await handle.by_page(reader, only, page, page_size), page, page_size)


@get("/{id:uuid}", summary="Get a delivery", response_description="The delivery.", responses=problems(*REFUSALS, 404))
@inject
async def get_delivery(
    reader: NamedDependency[Identity], id: FromPath[UUID], handle: FromDishka[HandleDeliveries]
) -> DeliveryWithAttempts:
    """Returns a delivery and all attempts to send it, oldest first."""
    return DeliveryWithAttempts.with_log(*await handle.one(reader, id))


@post(
    "/retry/{id:uuid}",
    status_code=200,
    summary="Retry a delivery",
    response_description="The delivery, which is pending again.",
    responses=problems(*REFUSALS, 404, 409),
)
@inject
async def retry_delivery(
    admin: NamedDependency[Identity], id: FromPath[UUID], handle: FromDishka[HandleDeliveries]
) -> DeliveryItem:
    """Retries a delivery that has failed, or that was skipped because no e-mail address was known (`no_address`). Its
    `status` becomes `pending`, and it is sent as soon as possible after the response. Responds 409 to any other
    delivery. If several requests retry the same delivery at the same time, one succeeds and the others get 409. Needs
    the scope `admin`."""
    return DeliveryItem.of(await handle.retry(id))


DELIVERIES: Final = Router(
    "/api/v1/notifications",
    route_handlers=[list_deliveries, get_delivery, retry_delivery],
    dependencies={
        "identity": CALLER["identity"],  # without `user`: a filter has that name
        "reader": guarded_by(READ),
        "admin": guarded_by(RETRY),
        "only": Provide(delivery_filter),
    },
    tags=["deliveries"],
)
