"""The output of `herald routes explain`: the plan of an event, and the frames that clients would receive."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

from domain.broker_messages import Message
from domain.conditions import described
from domain.endpoints import Endpoint
from domain.events import Event, Unreadable, read_event
from domain.missing_field_warnings import unfilled_templates
from domain.payload_paths import values_at
from domain.planning import plan
from domain.plans import Plan
from domain.protocol.entry_kinds import protocol_text
from domain.protocol.herald_v1 import sse_block
from domain.protocol.plain_envelopes import plain_text, to_rfc3339
from domain.route_table import RouteTable
from domain.routes import Route
from domain.safe_text import visible
from domain.streams import Content, Entry, feed_stream, inbox_of
from domain.unmatched_events import source_hint
from entrypoints.cli.not_notified import not_notified

# The id of events without an id of their own. In the server, such an event is identified by its position at the broker.
NO_ID: Final = "herald-explain"

# Why an event is ignored, by its reason.
_IGNORED: Final = {
    "tombstone": "it has no value, and no route of its topic stores it as a dead letter",
    "filtered": "it does not fulfil the conditions of any route of its source and type",
    "excluded": "routes exclude every user that it names",
}


class Explanation(NamedTuple):
    """The output of `herald routes explain` for an event, and whether the event becomes a dead letter."""

    text: str
    is_dead_letter: bool


def explain(source: str, body: bytes | None, table: RouteTable, now: datetime) -> Explanation:
    """Explains how an event with this source and body is processed. A body of None is a Kafka record without a
    value."""
    message = Message(source, body, now, NO_ID)
    made = plan(message, table)
    text = "\n".join(visible(line, keep="\n") for line in _lines(message, table, made, now))
    return Explanation(text, made.dead_letter is not None)


def _lines(message: Message, table: RouteTable, made: Plan, now: datetime) -> Iterator[str]:
    event = _event(message)
    own = made.event_id != NO_ID
    yield f"event        {made.event_id if own else 'without an id: its position at the broker identifies it'}"
    if own and (field := _id_field(event, made)):
        yield f"             its id is in {field}: a later event with the same {field} is a duplicate and is not stored"
    if event is not None:
        yield from _route_lines(event, table, made)
    for refused in made.refused_urls:
        yield f"no url       {refused.route}: the url is refused: {refused.reason}"
    for addressed in made.addressed:
        yield f"recipients   {', '.join(addressed.users)}"
        yield f"streams      {', '.join(map(inbox_of, addressed.users))}"
        yield f"preferences  users who have muted the type {addressed.content.type!r} find it in the inbox only"
        yield _endpoints_line(addressed.content, table, True)
        yield from _frames(addressed.content, inbox_of(addressed.users[0]), now)
    for broadcast in made.broadcasts:
        yield f"recipients   subscribers of {broadcast.feed} ({table.feeds[broadcast.feed].access})"
        yield f"stream       {feed_stream(broadcast.feed)}"
        yield _endpoints_line(broadcast.content, table, False)
        yield from _frames(broadcast.content, feed_stream(broadcast.feed), now)
    if event is not None:
        for user, reasons in not_notified(event, table, made):
            yield f"not notified {user}: {'; '.join(reasons)}"
    for planned in made.deliveries:
        item = planned.item
        template = f", template {item.template}" if item.template else ""
        name = "mail" if planned.channel == "email" else planned.channel
        url = f", url {item.url}" if item.url is not None else ""
        yield f"{name:<12} to {planned.destination or 'nobody'}, subject {item.subject!r}{template}{url}"
        if planned.fault:
            yield f"             fails: {planned.fault}"
    for sign_out in made.sign_outs:
        yield f"sign-out     {sign_out.user}: revokes all tokens issued up to {to_rfc3339(sign_out.not_before)}"
    if made.ignored:
        yield f"ignored      {made.ignored}: {_IGNORED[made.ignored]}"
    elif made.dead_letter:
        yield f"dead letter  {made.dead_letter.reason}: {made.dead_letter.detail}"
        if not table.for_source(message.source):
            hint = source_hint(message.source, (route.source for route in table.routes))
            yield f"             no route has this source{hint or ': `herald routes check` lists those of the routes'}"
    elif not (made.addressed or made.broadcasts or made.deliveries or made.sign_outs):
        yield 'dropped      the event names no recipient, and the route has otherwise = "drop"'


def _id_field(event: Event | None, made: Plan) -> str | None:
    """Returns the payload field from which the event's id was read, if the route names it with the key `id`. Returns
    None if the id comes from elsewhere, such as the CloudEvents attributes, or if there is no route."""
    field = made.route.id if made.route is not None else None
    return field if event is not None and event.id == NO_ID else None


def _event(message: Message) -> Event | None:
    """Returns the event in the message, or None if the message can't be read as an event."""
    try:
        return read_event(message)
    except Unreadable:
        return None


def _route_lines(event: Event, table: RouteTable, made: Plan) -> Iterator[str]:
    """Yields a line for each route that matches the source and type of the event: the profile, and the number of the
    route in its file, counted from 1. The lines after it name the conditions that the event does not fulfil, or the
    fields that the texts of the route need and the event does not have, and the users that the route leaves out."""
    candidates = table.for_source(event.source)
    for profile in table.profiles:
        for number, route in enumerate(profile.routes, 1):
            if route in candidates and route.type in (None, event.type):
                unfulfilled = list(_unfulfilled(route, event.payload))
                without_effect = ": does not apply" if unfulfilled else ""
                yield f"route        {profile.profile}, route {number} ({route.source}){without_effect}"
                about = unfulfilled or [*unfilled_templates(route, event.payload), *_exclusions(route, made)]
                yield from (f"             {line}" for line in about)


def _unfulfilled(route: Route, payload: Any) -> Iterator[str]:
    """Yields a line for each condition of the route that the payload does not fulfil."""
    if route.when and type(payload) is not dict:
        yield "when: only a JSON object can fulfil conditions"
        return
    for condition in route.conditions:
        found = values_at(payload, condition.path)
        if not condition.accepts(found):
            yield f"when.{condition.path}: expected {condition.expected}, found {described(found)}"


def _exclusions(route: Route, made: Plan) -> Iterator[str]:
    names = dict.fromkeys(name for one in made.left_out if one.route is route for name in one.names)
    if names:
        yield f"exclude: leaves out {', '.join(names)}"


def _endpoints_line(content: Content, table: RouteTable, is_notification: bool) -> str:
    """Returns the output line that lists the endpoints at which plain clients receive the content. Clients of
    herald.v1 receive it at every endpoint."""
    shown = [
        f"{endpoint.transport} {endpoint.path} ({endpoint.name})"
        for endpoint in table.endpoints
        if _shows(endpoint, content, table, is_notification)
    ]
    return f"endpoints    {', '.join(shown) or 'none'}; clients of herald.v1: all"


def _shows(endpoint: Endpoint, content: Content, table: RouteTable, is_notification: bool) -> bool:
    if is_notification and endpoint.inbox != "profile":
        return endpoint.inbox == "all"
    return (is_notification or endpoint.feeds) and table.shown_profile(endpoint) in (None, content.profile)


def _frames(content: Content, stream: str, now: datetime) -> Iterator[str]:
    entry = Entry(stream, 1, 1, UUID(int=0), content, now, unread=1)
    plain = plain_text(entry)
    if content.title is not None:
        yield f"title        {content.title}"
    if content.message:
        yield f"message      {content.message}"
    if content.url is not None:
        yield f"url          {content.url}"
    yield _indented(f"  WebSocket  {plain}")
    yield f"  herald.v1  {protocol_text(entry)}"
    yield _indented(f"  SSE        {sse_block(plain)}".removesuffix("\n"))


def _indented(text: str) -> str:
    return text.replace("\n", f"\n{'':13}")
