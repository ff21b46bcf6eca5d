"""Plans: what one event leads to. `domain.planning` makes them; the store stores them."""

import msgspec

from domain.broker_messages import Message
from domain.dead_letter_reasons import DeadLetterReason
from domain.deliveries import PlannedDelivery
from domain.routes import Route
from domain.streams import Content, SignOut


class Addressed(msgspec.Struct, frozen=True):
    """Notifications in a plan: one for each of `users`, all with the same content. No user occurs twice."""

    content: Content
    users: tuple[str, ...]


class Broadcast(msgspec.Struct, frozen=True):
    """A broadcast in a plan: the content for all subscribers of one feed."""

    content: Content
    feed: str


class LeftOut(msgspec.Struct, frozen=True):
    """The users and addresses that an event names, and the key `exclude` of the route excludes."""

    route: Route
    names: tuple[str, ...]


class RefusedUrl(msgspec.Struct, frozen=True):
    """A URL that is left out of a plan: the name of the route whose template made it, and the reason."""

    route: str
    reason: str


class DeadLetter(msgspec.Struct, frozen=True):
    """An event that could not be processed, or only in part: the original message, the `reason` (a code for programs)
    and the `detail` (an explanation for people).
    """

    message: Message
    origin: str
    event_id: str
    reason: str
    detail: str


class Plan(msgspec.Struct, frozen=True):
    """What one event leads to.

    `dead_letter` is set if a route could not be applied to the event. The results of the other routes are in the plan,
    too. `message` is the event as the broker delivered it. If `by_source` is false, events of different sources with
    the same origin and id are the same event (`identity = "cloudevents"`). `ignored` is a code for the reason why the
    event leads to nothing and is not even stored as a dead letter; None for other events. `route` is the route that log
    lines name if the event is a duplicate: the first route for its source that has an `id` (the path of the event's
    id), otherwise the first route that applies to the event. `left_out` are the users and addresses that the event
    names and routes exclude. `type` is the event's own type; None if it has none, or if the event can't be read.
    `refused_urls` are the URLs that are not allowed: the notifications and deliveries of their routes have no URL.
    """

    origin: str
    event_id: str
    addressed: tuple[Addressed, ...] = ()
    broadcasts: tuple[Broadcast, ...] = ()
    deliveries: tuple[PlannedDelivery, ...] = ()
    sign_outs: tuple[SignOut, ...] = ()
    dead_letter: DeadLetter | None = None
    message: Message | None = None
    by_source: bool = True
    ignored: str | None = None
    route: Route | None = None
    left_out: tuple[LeftOut, ...] = ()
    type: str | None = None
    refused_urls: tuple[RefusedUrl, ...] = ()


def refused(plan: Plan, detail: str, reason: DeadLetterReason = "refused_by_store") -> Plan:
    """Returns the plan with everything in it replaced by a dead letter, for an event that the store refuses. `reason`
    and `detail` are those of the dead letter. Raises ValueError if the plan has no `message`.
    """
    if plan.message is None:
        raise ValueError("a plan without its message can't become a dead letter")
    letter = DeadLetter(plan.message, plan.origin, plan.event_id, reason, detail)
    return msgspec.structs.replace(plan, addressed=(), broadcasts=(), deliveries=(), sign_outs=(), dead_letter=letter)
