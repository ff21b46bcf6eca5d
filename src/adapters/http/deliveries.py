"""`/api/v1/notifications`: the delivery log, which says what became of each mail."""

from typing import Annotated, Final
from uuid import UUID

from dishka.integrations.litestar import FromDishka, inject
from litestar import Router, get, post
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath, Parameter

from adapters.http.callers import CALLER
from adapters.http.delivery_items import DeliveryItem, DeliveryList, DeliveryWithAttempts
from adapters.http.documents import REFUSALS, problems
from adapters.http.parameters import DEFAULT_LIST, LAST_PAGE, LONGEST_LIST
from application.handle_deliveries import HandleDeliveries
from application.ports.deliveries import DeliveryChoice
from domain.addresses import as_address
from domain.deliveries import Status
from domain.errors import InvalidInput
from domain.identity import Identity, scoped
from domain.storable import storable

READ: Final = "deliveries:read"
RETRY: Final = "admin"

Recipient = Annotated[str | None, Parameter(description="Only those to this address, whole.")]
OnlyStatus = Annotated[Status | None, Parameter(description="Only those with this status.")]
OrderId = Annotated[str | None, Parameter(description="Only those about this order.")]
Page = Annotated[int | None, Parameter(description="List by page, from 1, and count them all.", ge=1, le=LAST_PAGE)]
PageSize = Annotated[int, Parameter(description="How many to list.", ge=1, le=LONGEST_LIST)]
Cursor = Annotated[
    UUID | None,
    Parameter(description="The `next_cursor` of the answer before: what is older. Not together with `page`."),
]


async def reader_of(identity: NamedDependency[Identity]) -> Identity:
    """The caller, if it may look. Raises TokenMissing and ScopeMissing."""
    return scoped(identity, READ)


async def admin_of(identity: NamedDependency[Identity]) -> Identity:
    """The caller, if it may have mails sent. Raises TokenMissing and ScopeMissing."""
    return scoped(identity, RETRY)


async def chosen_by_query(
    recipient: Recipient = None, status: OnlyStatus = None, order_id: OrderId = None
) -> DeliveryChoice:
    """Raises InvalidInput."""
    return DeliveryChoice(
        recipient=None if recipient is None else as_address(storable(recipient, "recipient")),
        status=status,
        order_id=None if order_id is None else storable(order_id, "order_id"),
    )


@get(summary="List deliveries", responses=problems(*REFUSALS, 422))
@inject
async def list_deliveries(
    reader: NamedDependency[Identity],
    choice: NamedDependency[DeliveryChoice],
    handle: FromDishka[HandleDeliveries],
    page: Page = None,
    page_size: PageSize = DEFAULT_LIST,
    cursor: Cursor = None,
) -> DeliveryList:
    """Newest first; the first page, if neither `page` nor `cursor` says otherwise. By cursor, a list costs the same at
    any depth and nothing shifts; by page, all are counted."""
    if cursor is not None:
        if page is not None:
            raise InvalidInput("List by page, or by cursor.", "cursor")
        return DeliveryList.of(await handle.by_cursor(reader, choice, page_size, cursor), None, page_size)
    page = page or 1
    return DeliveryList.of(await handle.by_page(reader, choice, page, page_size), page, page_size)


@get("/{id:uuid}", summary="Look at a delivery", responses=problems(*REFUSALS, 404))
@inject
async def get_delivery(
    reader: NamedDependency[Identity], id: FromPath[UUID], handle: FromDishka[HandleDeliveries]
) -> DeliveryWithAttempts:
    """With every attempt at it."""
    return DeliveryWithAttempts.with_log(*await handle.one(reader, id))


@post("/retry/{id:uuid}", status_code=200, summary="Retry a delivery", responses=problems(*REFUSALS, 404, 409))
@inject
async def retry_delivery(
    admin: NamedDependency[Identity], id: FromPath[UUID], handle: FromDishka[HandleDeliveries]
) -> DeliveryItem:
    """Makes a failed delivery pending, due at once. Needs the scope `admin`; of several retries at once one does it,
    and the others are 409."""
    return DeliveryItem.of(await handle.retry(id))


DELIVERIES: Final = Router(
    "/api/v1/notifications",
    route_handlers=[list_deliveries, get_delivery, retry_delivery],
    dependencies={
        **CALLER,
        "reader": Provide(reader_of),
        "admin": Provide(admin_of),
        "choice": Provide(chosen_by_query),
    },
    tags=["deliveries"],
)
