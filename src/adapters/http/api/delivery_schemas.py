"""Response bodies of the delivery log.

Fields that may have further values in later versions, such as `status`, are documented as text and not as enumerations,
so that generated clients accept the new values.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Final, get_args
from uuid import UUID

import msgspec
from msgspec import Meta

from application.delivery.handle_deliveries import DeliveryPage
from domain.deliveries import Attempt, Delivery, Status

STATUSES: Final = ", ".join(f"`{status}`" for status in get_args(Status))


class DeliveryItem(msgspec.Struct, frozen=True, kw_only=True):
    """A delivery: a mail about one event to one e-mail address, and its status."""

    id: UUID
    order_id: Annotated[
        str | None,
        Meta(
            description="The number of the order that the delivery is about: the value of the payload field that the"
            " route names as `reference`.",
            examples=["o-1"],
        ),
    ]
    recipient: Annotated[str, Meta(description="The e-mail address. Without the scope `admin` it is masked.")]
    type: Annotated[str, Meta(description="The type of the notification.", examples=["ticket.assigned"])]
    event: Annotated[str, Meta(description="The topic or routing key of the event.", examples=["tickets"])]
    event_id: str
    subject: Annotated[
        str | None,
        Meta(description="The subject of the mail; null if the event lacks a field that the subject contains."),
    ]
    template: str
    user_id: Annotated[
        str | None, Meta(description="The user whose preferences apply; null if the route names no user.")
    ]
    status: Annotated[str, Meta(description=f"One of {STATUSES}. Later versions may add values.", examples=["sent"])]
    error_message: Annotated[
        str | None,
        Meta(description="Why the delivery failed or was skipped; if it is pending, the error of its last attempt."),
    ]
    created_at: datetime
    updated_at: datetime
    sent_at: datetime | None
    next_attempt_at: Annotated[
        datetime | None, Meta(description="The time of the next attempt; null unless `status` is `pending`.")
    ]
    attempts: Annotated[int, Meta(ge=0, description="The number of attempts to send the delivery so far.")]

    @classmethod
    def of(cls, delivery: Delivery) -> "DeliveryItem":
        return cls(**_about(delivery))


class LoggedAttempt(msgspec.Struct, frozen=True):
    """One attempt to send a delivery."""

    at: datetime
    seconds: Annotated[float, Meta(description="The duration of the attempt in seconds.")]
    result: Annotated[
        str,
        Meta(
            description="`sent`: the mail server accepted the mail. `deferred`: the attempt failed for a temporary"
            " reason, such as a timeout; the delivery is tried again. `refused`: the mail server rejected the mail"
            " permanently, or the mail could not be rendered. `server`: the mail server was unavailable or refused the"
            " connection. Later versions may add values.",
            examples=["sent"],
        ),
    ]
    code: Annotated[int | None, Meta(description="The mail server's reply code.", examples=[550])]
    text: Annotated[str, Meta(description="The mail server's reply, or a description of the error.")]

    @classmethod
    def of(cls, attempt: Attempt) -> "LoggedAttempt":
        return cls(attempt.at, attempt.seconds, attempt.result, attempt.code, attempt.text)


class DeliveryWithAttempts(DeliveryItem, frozen=True, kw_only=True):
    """A delivery and all attempts to send it, oldest first."""

    attempt_log: list[LoggedAttempt]

    @classmethod
    def with_log(cls, delivery: Delivery, attempts: Sequence[Attempt]) -> "DeliveryWithAttempts":
        return cls(**_about(delivery), attempt_log=[LoggedAttempt.of(attempt) for attempt in attempts])


class DeliveryList(msgspec.Struct, frozen=True):
    """One page of deliveries, newest first."""

    items: list[DeliveryItem]
    total: Annotated[
        int | None, Meta(description="The number of deliveries on all pages; null if the request has a `cursor`.")
    ]
    page: Annotated[int | None, Meta(description="The page number; null if the request has a `cursor`.")]
    page_size: int
    next_cursor: Annotated[
        UUID | None, Meta(description="Pass this as `cursor` in the next request; null on the last page.")
    ]

    @classmethod
    def of(cls, listed: DeliveryPage, page: int | None, page_size: int) -> "DeliveryList":
        items = [DeliveryItem.of(delivery) for delivery in listed.deliveries]
        return cls(items, listed.total, page, page_size, listed.next_cursor)


def _about(delivery: Delivery) -> dict[str, Any]:
    item = delivery.item
    return {
        "id": delivery.id,
        "order_id": item.reference,
        "recipient": delivery.destination,
        "type": item.type,
        "event": item.source,
        "event_id": item.event_id,
        "subject": item.subject,
        "template": item.template,
        "user_id": delivery.user,
        "status": delivery.status,
        "error_message": delivery.error,
        "created_at": delivery.created_at,
        "updated_at": delivery.updated_at,
        "sent_at": delivery.sent_at,
        "next_attempt_at": delivery.due_at if delivery.status == "pending" else None,
        "attempts": delivery.attempts,
    }
