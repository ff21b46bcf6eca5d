"""Planning: which notifications, broadcasts, deliveries and sign-outs one event leads to. A pure function of the
message, the routes and the limits.
"""

from functools import partial

from domain.audiences import audience_of, divide_destinations, excluded_by
from domain.broker_messages import Message
from domain.channel_tables import ChannelTable
from domain.deliveries import PlannedDelivery
from domain.event_identity import origin_of
from domain.event_limits import NO_LIMITS, Limits
from domain.events import Event, Unreadable, read_event
from domain.notification_urls import UrlRefused, fill_url
from domain.plan_contents import broadcast_content, delivery_item, notification_content
from domain.plans import Addressed, Broadcast, DeadLetter, LeftOut, Plan, RefusedUrl
from domain.protocol.plain_envelopes import require_object
from domain.route_table import RouteTable
from domain.routes import Route, fulfilled
from domain.storable_text import validate_item
from domain.streams import Content, SignOut, stored_bytes
from domain.unmatched_events import why_no_route
from domain.user_ids import recipients
from domain.verbatim_fields import VerbatimFields


def plan(message: Message, table: RouteTable, limits: Limits = NO_LIMITS) -> Plan:
    """Returns the plan for a message. Raises nothing: an event that can't be planned leads to a dead letter."""
    candidates = table.for_source(message.source)
    if message.body is None and all(route.tombstone == "ignore" for route in candidates):
        return Plan(message.source, message.fallback_id, message=message, ignored="tombstone")
    with_id = [route for route in candidates if route.id]
    naming = with_id[0] if with_id else None
    by_source = not candidates or candidates[0].identity != "cloudevents"
    try:
        event = read_event(message, naming.id if naming else None, limits.event_bytes)
    except Unreadable as error:
        origin = origin_of(None, message.source)
        letter = DeadLetter(message, origin, message.fallback_id, error.reason, error.detail)
        return Plan(letter.origin, letter.event_id, dead_letter=letter, message=message, by_source=by_source)
    routes = [route for route in candidates if route.type is None or route.type == event.type]
    return _Planner(message, event, table, limits, by_source).follow(routes, naming)


class _Planner:
    """Applies routes to one event and collects what they lead to. If several routes lead to the same user, the same
    feed or the same destination of a channel, the first of them in file order is used for it.
    """

    def __init__(self, message: Message, event: Event, table: RouteTable, limits: Limits, by_source: bool) -> None:
        self.message = message
        self.event = event
        self.table = table
        self.limits = limits
        self.by_source = by_source
        self.addressed: list[Addressed] = []
        self.broadcasts: list[Broadcast] = []
        self.deliveries: list[PlannedDelivery] = []
        self.sign_outs: list[SignOut] = []
        self.faults: list[Unreadable] = []
        self.left_out: list[LeftOut] = []
        self.refused_urls: list[RefusedUrl] = []
        self.url: str | None = None  # of the route that is being applied
        self.users: set[str] = set()
        self.feeds: set[str] = set()
        self.destinations: dict[str, set[str]] = {}  # by channel
        self.fanout_bytes = 0
        self.fields = VerbatimFields(event.payload, event.text)

    def follow(self, routes: list[Route], naming: Route | None) -> Plan:
        """Plans the event by `routes`, which match its source and type. `naming` is the route that names the path of
        the event's id.
        """
        applied = self._fulfilled(routes)
        for route in applied:
            self.url = self._url(route)
            tables = (partial(self._deliver, route, table) for table in route.channels)
            for part in (partial(self._sign_out, route), partial(self._audience, route), *tables):
                try:
                    part()
                except Unreadable as error:
                    self.faults.append(error)
        if not routes:
            self.faults.append(self._no_route())
        event = self.event
        letter = None
        if self.faults:
            first = self.faults[0]
            letter = DeadLetter(self.message, event.origin, event.id, first.reason, first.detail)
        return Plan(
            event.origin,
            event.id,
            tuple(self.addressed),
            tuple(self.broadcasts),
            tuple(self.deliveries),
            tuple(self.sign_outs),
            letter,
            self.message,
            self.by_source,
            self._reason_to_ignore(applied),
            naming or (applied[0] if applied else None),
            tuple(self.left_out),
            event.type,
            tuple(self.refused_urls),
        )

    def _fulfilled(self, routes: list[Route]) -> list[Route]:
        """Returns the routes whose conditions the event fulfils. Conditions need a payload with fields: another payload
        is a fault, which must not look like a condition that is not fulfilled.
        """
        payload = self.event.payload
        if type(payload) is dict:
            return fulfilled(routes, payload)
        unconditional = [route for route in routes if not route.when]
        if len(unconditional) < len(routes):
            try:
                require_object(self.event)
            except Unreadable as error:
                self.faults.append(error)
        return unconditional

    def _no_route(self) -> Unreadable:
        source = self.message.source
        needed = ((self.table.name_of(route), route.type or "") for route in self.table.for_source(source))
        return Unreadable("no_route", why_no_route(source, self.event.type, needed))

    def _reason_to_ignore(self, applied: list[Route]) -> str | None:
        """Returns why the event leads to nothing, if the conditions or the exclusions of routes are the reason."""
        if self.faults or self.addressed or self.broadcasts or self.deliveries or self.sign_outs:
            return None
        if not applied:
            return "filtered"
        return "excluded" if self.left_out else None

    def _url(self, route: Route) -> str | None:
        if route.inbox is None or route.inbox.url is None:
            return None
        try:
            return fill_url(route.inbox.url, self.fields)
        except UrlRefused as error:
            self.refused_urls.append(RefusedUrl(self.table.name_of(route), str(error)))
            return None

    def _sign_out(self, route: Route) -> None:
        if route.sign_out is None:
            return
        users, _ = recipients(self.event.payload, (route.sign_out,))
        if not users:
            raise Unreadable("no_recipient", f"The event names no user to sign out in {route.sign_out}.")
        self._check_recipients(len(users))
        self.sign_outs.extend(SignOut(user, self.event.time) for user in users)

    def _audience(self, route: Route) -> None:
        if route.users:
            self._address(route)
        elif route.feed:
            self._broadcast(route, route.feed)

    def _address(self, route: Route) -> None:
        users, left_out, unusable = audience_of(route, self.event.payload)
        if left_out:
            self.left_out.append(LeftOut(route, left_out))
        if users:
            fresh = tuple([user for user in users if user not in self.users])
            if fresh:
                self._check_recipients(len(self.users) + len(fresh))
                content = notification_content(route, self.event, self.fields, self.table, self.url)
                self._spend_fanout(content, len(fresh))
                self.addressed.append(Addressed(content, fresh))
                self.users.update(fresh)
        elif unusable or left_out:
            pass
        elif route.otherwise == "broadcast" and route.feed:
            self._broadcast(route, route.feed)
        elif route.otherwise == "dead-letter":
            # A payload without fields has no recipient either; report that it is not a JSON object, which is the actual
            # cause.
            require_object(self.event)
            raise Unreadable("no_recipient", f"The event names no recipient in {', '.join(route.users)}.")
        if unusable:
            raise Unreadable("bad_recipient", f"A recipient is not a valid user id: {unusable}.")

    def _check_recipients(self, users: int) -> None:
        most = self.limits.recipients
        if most and users > most:
            raise Unreadable(
                "too_many_recipients",
                f"The event names {users} users; at most {most} are allowed (HERALD_MAX_RECIPIENTS). Publish it in"
                " several events, and add the list of users to the route's `omit`, so that it is not stored for each"
                " user.",
            )

    def _spend_fanout(self, content: Content, users: int) -> None:
        most, each = self.limits.fanout_bytes, stored_bytes(content)
        total = self.fanout_bytes + users * each
        if most and total > most:
            raise Unreadable(
                "fanout_too_large",
                f"The event stores {each} bytes for each of {users} users, {total} in all; at most {most} are allowed"
                " (HERALD_MAX_FANOUT_BYTES). If its payload contains the list of users, add the list to the route's"
                " `omit`, so that it is not stored for each user.",
            )
        self.fanout_bytes = total

    def _broadcast(self, route: Route, feed: str) -> None:
        if feed not in self.feeds:
            self.broadcasts.append(Broadcast(broadcast_content(route, self.event), feed))
            self.feeds.add(feed)

    def _deliver(self, route: Route, table: ChannelTable) -> None:
        require_object(self.event)
        known = self.destinations.setdefault(table.channel, set())
        most = self.limits.addresses
        made = table.plan(self.event, self.fields, len(known) + most)
        # Without a destination, one delivery is planned nevertheless: it is stored as skipped, with the reason.
        destinations, left_out = divide_destinations(made, table, excluded_by(route, self.event.payload))
        if left_out:
            self.left_out.append(LeftOut(route, left_out))
        fresh = [one for one in destinations if one not in known]
        if len(known) + len(fresh) > most:
            raise Unreadable(
                "too_many_addresses",
                f"The event leads to more than {most} deliveries by {table.channel} (HERALD_MAIL_ADDRESSES): this route"
                " adds none.",
            )
        known.update(fresh)
        item = delivery_item(route, self.event, made, self.url)
        if fault := validate_item(item, fresh):
            raise Unreadable("unstorable_text", f"{fault}.")
        self.deliveries.extend(
            PlannedDelivery(table.channel, one, item, made.user, table.fault_in(item, one), made.due_at)
            for one in fresh
        )
