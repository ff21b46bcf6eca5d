"""`/api/v2/notifications`: the inbox of the calling user."""

from collections.abc import Mapping
from typing import Annotated, Any, Final
from urllib.parse import urlencode
from uuid import UUID

from dishka.integrations.litestar import FromDishka, inject
from litestar import Request, Response, Router, delete, get, put
from litestar.datastructures import ResponseHeader
from litestar.di import NamedDependency, Provide
from litestar.params import Parameter
from msgspec import UNSET

from adapters.http.api import notification_schemas as schemas
from adapters.http.api.list_parameters import (
    DEFAULT_LIST,
    MAX_LIST_LENGTH,
    Limit,
    Page,
    PageCursor,
    Size,
    notification_filter,
)
from adapters.http.auth import CALLER, User
from adapters.http.openapi.operation_parts import REFUSALS, problems, takes
from adapters.http.request_bodies import SMALL_BODY_BYTES, read_json_or_none
from adapters.http.request_checks import READS_BODY, public_url_of
from application.inbox.browse_inbox import BrowseInbox
from application.inbox.follow_changes import FollowChanges
from application.inbox.mark_notifications import MarkNotifications
from application.inbox.mark_seen import MarkSeen
from domain.caller_errors import InvalidInput
from domain.notifications import NotificationFilter
from domain.streams import INBOX

# Maximum size of the Link header. Proxies accept 4 KB or 8 KB for all headers of a response together.
MAX_LINK_BYTES: Final = 2_000

LINK: Final = ResponseHeader(
    name="Link",
    # Litestar derives the documented type (string) from this value.
    value="",
    documentation_only=True,
    description="Links to other pages (RFC 8288): `first`, `next` unless this is the last page, and `prev` if the"
    " request has a `page` after the first. The links contain the filters of the request, but not its token. They are"
    " relative to the address of the list, unless `HERALD_PUBLIC_URL` is set. If the filters are long, the header has"
    " only `next`, or is left out: use `next_cursor` then.",
)

Id = Annotated[UUID, Parameter(description="The notification's id, a UUID.")]
UpTo = Annotated[
    int | UUID | None,
    Parameter(
        description="The `seq` or the `id` of a notification: this notification, and all that arrived before it, are"
        " archived. Without this parameter, all notifications are archived."
    ),
]


@get(
    "/",
    summary="List notifications",
    response_description="The notifications, newest first.",
    responses=problems(*REFUSALS, 422),
    response_headers=[LINK],
)
@inject
async def list_notifications(
    request: Request[Any, Any, Any],
    user: User,
    filter: NamedDependency[NotificationFilter],
    browse: FromDishka[BrowseInbox],
    cursor: PageCursor = None,
    limit: Limit = None,
    page: Page = None,
    size: Size = None,
) -> Response[schemas.NotificationList]:
    """Lists notifications, newest first.

    To read many notifications, pass the `next_cursor` of each response as `cursor` of the next request. Then every page
    takes the same time, and notifications that arrive meanwhile do not shift the pages. With `page` or `size`, the
    response has the `total`, but high page numbers are slower.
    """
    by_page = page is not None or size is not None
    if by_page and (cursor is not None or limit is not None):
        field = "limit" if cursor is None else "cursor"
        raise InvalidInput("Use either page and size, or cursor and limit.", field)
    links: dict[str, Mapping[str, str | int]]
    if by_page:
        page, size = page or 1, size or DEFAULT_LIST
        listing = await browse.by_page(user, filter, page, size)
        links = {"first": {"page": 1}}
        if page > 1:
            links["prev"] = {"page": page - 1}
        if listing.next_cursor is not None:
            links["next"] = {"page": page + 1}
    else:
        limit = limit or DEFAULT_LIST
        listing = await browse.by_cursor(user, filter, limit, cursor)
        if cursor is None:
            # A list by cursor begins with the newest items too, which are page 1.
            page, size = 1, limit
        links = {"first": {}}
        if listing.next_cursor is not None:
            links["next"] = {"cursor": listing.next_cursor}
    meta = schemas.ListMeta(
        unread_count=listing.head.unread,
        unseen_count=listing.head.unseen,
        seen_seq=listing.head.seen_seq,
        next_cursor=listing.next_cursor,
        cursor=listing.cursor,
        page=UNSET if page is None else page,
        size=UNSET if size is None else size,
        total=UNSET if listing.total is None else listing.total,
    )
    body = schemas.NotificationList([schemas.Item.of(one) for one in listing.notifications], meta)
    link = _links(request, links)
    return Response(body, headers={"link": link} if link else {})


def _links(request: Request[Any, Any, Any], links: Mapping[str, Mapping[str, str | int]]) -> str:
    """Returns the value of the `Link` header of a list: links to other pages, with the filters of the request. `links`
    is keyed by relation (`first`, `prev`, `next`) and has the paging parameters of each page. For example, `{"next":
    {"page": 3}}` -> `<?is_read=false&page=3>; rel="next"`. If the value would be longer than MAX_LINK_BYTES,
    returns only the link `next`, or "" if that is too long as well.
    """
    # Without a public URL the links are relative to the request's address, so that they are correct behind a gateway
    # that changes the path. Tokens are left out, because proxies may log headers.
    public_url = public_url_of(request)
    list_url = public_url.of(request.url.path) if public_url.base else ""
    dropped = ("jwt", "token", "cursor", "page")
    query = [(name, value) for name, value in request.query_params.multi_items() if name not in dropped]
    found = {name: f'<{list_url}?{urlencode([*query, *place.items()])}>; rel="{name}"' for name, place in links.items()}
    # If long filters make it too large, only `next` is sent, or no header: clients can use `next_cursor` instead.
    fitting = (", ".join(text) for text in (found.values(), [found[name] for name in ("next",) if name in found], []))
    return next(text for text in fitting if len(text) <= MAX_LINK_BYTES)


@get(
    "/unread-count",
    summary="Count unread notifications",
    response_description="The numbers of unread and of unseen notifications.",
    responses=problems(*REFUSALS),
)
@inject
async def unread_count(
    user: User,
    browse: FromDishka[BrowseInbox],
    by_type: Annotated[
        bool, Parameter(description="If `true`, the response also has the number of unread ones for each type.")
    ] = False,
) -> schemas.UnreadCount:
    """Returns the numbers of unread and of unseen notifications in the inbox; with `by_type=true`, also the number of
    unread ones for each type. Without `by_type`, the response takes the same time for an inbox of any size."""
    types = await browse.unread_by_type(user) if by_type else UNSET
    head = await browse.head(user)
    return schemas.UnreadCount(head.unread, head.unseen, types)


@get(
    "/changes",
    summary="Follow changes",
    response_description="The changes, oldest first.",
    responses=problems(*REFUSALS),
)
@inject
async def follow_changes(
    user: User,
    follow: FromDishka[FollowChanges],
    since: Annotated[
        str | None,
        Parameter(
            description="The `cursor` of an earlier response of this operation or of `GET /api/v2/notifications`, or"
            " one that a WebSocket or an event stream has sent. Without `since`, the response has no changes, only the"
            " `cursor` for the next request."
        ),
    ] = None,
    limit: Annotated[
        int,
        Parameter(
            description="The approximate maximum number of changes. Changes that one request made together (such as"
            " mark-all-read) are never divided between two responses, so there may be more.",
            ge=1,
            le=MAX_LIST_LENGTH,
        ),
    ] = MAX_LIST_LENGTH,
) -> schemas.ChangeList:
    """Returns the notifications that have arrived, or were marked as read, marked as unread or archived, since the
    cursor `since`. Each notification is returned once, in its current state, however often it has changed. Poll this
    operation to follow an inbox without a WebSocket or an event stream."""
    changes = await follow(user, since, limit)
    head, seen = changes.head, changes.seen
    moved = UNSET if seen is None else schemas.WatermarkMoved(INBOX, seen.seq, seen.changed, seen.unseen)
    return schemas.ChangeList(
        [schemas.changed_item(one) for one in changes.notifications],
        schemas.ChangesMeta(changes.cursor, changes.more, changes.gap, head.unread, head.unseen, moved),
    )


@get(
    "/{id:uuid}",
    summary="Get a notification",
    response_description="The notification.",
    responses=problems(*REFUSALS, 404),
)
@inject
async def get_notification(id: Id, user: User, browse: FromDishka[BrowseInbox]) -> schemas.Item:
    """Returns one notification, even if it is archived. Responds 404 if it does not exist or belongs to another
    user."""
    return schemas.Item.of(await browse.one(user, id))


@put(
    "/{id:uuid}/read",
    summary="Mark a notification as read",
    response_description="The notification, which is read.",
    responses=problems(*REFUSALS, 404),
)
@inject
async def mark_read(id: Id, user: User, mark: FromDishka[MarkNotifications]) -> schemas.MarkedItem:
    """Marks a notification as read. If it is read already, nothing changes. Responds 404 if it is archived, does not
    exist, or belongs to another user."""
    notification, head = await mark.one(user, id, "read")
    return schemas.MarkedItem.after(notification, head)


@put(
    "/{id:uuid}/unread",
    summary="Mark a notification as unread",
    response_description="The notification, which is unread.",
    responses=problems(*REFUSALS, 404),
)
@inject
async def mark_unread(id: Id, user: User, mark: FromDishka[MarkNotifications]) -> schemas.MarkedItem:
    """Marks a notification as unread. If it is unread already, nothing changes. Responds 404 if it is archived, does
    not exist, or belongs to another user."""
    notification, head = await mark.one(user, id, "unread")
    return schemas.MarkedItem.after(notification, head)


async def mark_all_read_body(request: Request[Any, Any, Any], user: User) -> schemas.MarkAllRead | None:
    """Returns the decoded body of a mark-all-read request; None if the body is empty or `null`."""
    # The parameter `user` is not used here. Litestar resolves it first, so an anonymous caller is refused before the
    # body is read.
    return await read_json_or_none(request, schemas.MarkAllRead)


@put(
    "/mark-all-read",
    summary="Mark all as read",
    response_description="The number of notifications that were marked as read.",
    opt={READS_BODY: True},
    responses=problems(*REFUSALS, 404, 408, 413, 415),
    operation_class=takes(schemas.MarkAllRead, required=False),
)
@inject
async def mark_all_read(
    user: User,
    mark: FromDishka[MarkNotifications],
    stop: NamedDependency[schemas.MarkAllRead | None],
) -> schemas.MarkedRead:
    """Marks notifications as read: without `up_to`, all that are in the inbox when the request starts; with `up_to`,
    the notification with this `seq` or `id` and all that arrived before it."""
    marked = await mark.all(user, "read", stop.up_to if stop is not None else None)
    return schemas.MarkedRead("Marked as read.", marked.count, marked.head.unread, marked.head.unseen)


async def mark_seen_body(request: Request[Any, Any, Any], user: User) -> schemas.MarkSeen | None:
    """Returns the decoded body of a request to mark as seen; None if the body is empty or `null`."""
    # As in mark_all_read_body, an anonymous caller is refused first.
    return await read_json_or_none(request, schemas.MarkSeen)


@put(
    "/seen",
    summary="Mark as seen",
    response_description="The position up to which the notifications are seen.",
    opt={READS_BODY: True},
    responses=problems(*REFUSALS, 404, 408, 413, 415),
    operation_class=takes(schemas.MarkSeen, required=False),
)
@inject
async def mark_seen(
    user: User,
    mark: FromDishka[MarkSeen],
    seen: NamedDependency[schemas.MarkSeen | None],
) -> schemas.MarkedSeen:
    """Moves the watermark of the inbox, up to which the user has seen the notifications: without `up_to`, to the newest
    notification that is in the inbox when the request starts; with `up_to`, to the notification with this `seq` or
    `id`. The watermark never moves back: if it is there already or further on, nothing changes. Notifications stay
    unread."""
    head = await mark(user, seen.up_to if seen is not None else None)
    return schemas.MarkedSeen("Marked as seen.", head.seen_seq, head.unread, head.unseen)


@delete(
    "/clear-all",
    status_code=200,
    summary="Archive all notifications",
    response_description="The number of archived notifications.",
    responses=problems(*REFUSALS, 404),
)
@inject
async def clear_all(user: User, mark: FromDishka[MarkNotifications], up_to: UpTo = None) -> schemas.Cleared:
    """Archives notifications, which removes them from the inbox: without `up_to`, all that are in the inbox when the
    request starts; with `up_to`, the notification with this `seq` or `id` and all that arrived before it. To list
    archived notifications, use `GET /api/v2/notifications?archived=true`."""
    marked = await mark.all(user, "archived", up_to)
    return schemas.Cleared("Cleared.", marked.count, marked.head.unread, marked.head.unseen)


@delete(
    "/{id:uuid}",
    status_code=200,
    summary="Archive a notification",
    response_description="The notification is archived.",
    responses=problems(*REFUSALS, 404),
)
@inject
async def archive_notification(id: Id, user: User, mark: FromDishka[MarkNotifications]) -> schemas.Archived:
    """Archives a notification, which removes it from the inbox. If it is archived already, nothing changes. To list
    archived notifications, use `GET /api/v2/notifications?archived=true`."""
    _, head = await mark.one(user, id, "archived")
    return schemas.Archived("Archived.", head.unread, head.unseen)


notifications = Router(
    "/api/v2/notifications",
    route_handlers=[
        list_notifications,
        unread_count,
        follow_changes,
        get_notification,
        mark_read,
        mark_unread,
        mark_all_read,
        mark_seen,
        clear_all,
        archive_notification,
    ],
    dependencies={
        **CALLER,
        "filter": Provide(notification_filter),
        "stop": Provide(mark_all_read_body),
        "seen": Provide(mark_seen_body),
    },
    request_max_body_size=SMALL_BODY_BYTES,
    tags=["notifications"],
)
