"""What a plan stores of an event: the content of its notifications and broadcasts, and the item of its deliveries."""

from domain.channel_tables import ChannelPlan
from domain.deliveries import Item
from domain.events import Event, Unreadable, as_id
from domain.payload_paths import at_path
from domain.protocol.plain_envelopes import make_body
from domain.route_table import RouteTable
from domain.routes import Route
from domain.storable_text import validate_content
from domain.streams import Content
from domain.text_templates import fill
from domain.titles import as_title
from domain.verbatim_fields import VerbatimFields


def notification_content(
    route: Route, event: Event, fields: VerbatimFields, table: RouteTable, url: str | None
) -> Content:
    """Returns the content of the notifications of a route, with the title and the message that the inbox shows, and the
    URL that they link to. Raises Unreadable if the event can't be stored or shown as the route demands.
    """
    title, message = _title_and_message(route, _shown_type(route, event), fields, table)
    return _content(route, event, title, message, url)


def broadcast_content(route: Route, event: Event) -> Content:
    """Returns the content of the broadcast of a route. Raises Unreadable like `notification_content`."""
    return _content(route, event, None, None, None)


def delivery_item(route: Route, event: Event, made: ChannelPlan, url: str | None) -> Item:
    """Returns the item of the deliveries of a route through one channel. `url` is the one that the notifications of the
    route link to.
    """
    return Item(
        origin=event.origin,
        event_id=event.id,
        source=event.source,
        type=_shown_type(route, event),
        profile=route.profile,
        payload=event.text,
        time=event.time,
        subject=made.subject,
        template=made.template,
        reference=as_id(at_path(event.payload, route.reference)) if route.reference else None,
        options=made.options,
        url=url,
    )


def _content(route: Route, event: Event, title: str | None, message: str | None, url: str | None) -> Content:
    content = Content(
        origin=event.origin,
        event_id=event.id,
        source=event.source,
        type=_shown_type(route, event),
        profile=route.profile,
        envelope=route.envelope,
        body=make_body(event, route.envelope, route.omission),
        time=event.time,
        event_type=event.type,
        title=title,
        message=message,
        url=url,
    )
    if fault := validate_content(content):
        raise Unreadable("unstorable_text", f"{fault}.")
    return content


def _shown_type(route: Route, event: Event) -> str:
    """Returns the type of the event that clients see."""
    return route.as_type or event.type or event.source


def _title_and_message(route: Route, type_: str, fields: VerbatimFields, table: RouteTable) -> tuple[str, str]:
    """Returns the title and the message that the inbox shows. If the route has no template for the title, or the
    payload can't fill it, the title is that of the type. If the same is true of the message, the message is empty.
    """
    title = fill(route.inbox.title, fields) if route.inbox else None
    message = fill(route.inbox.message, fields) if route.inbox else None
    return as_title(title or table.title_of(type_)), message or ""
