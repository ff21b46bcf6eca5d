"""Deliveries as JSON, in the words of the service that is replaced."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from msgspec import Meta

from application.delivery.handle_deliveries import Listing
from domain.deliveries import Attempt, Delivery, Result, Status


class DeliveryItem(msgspec.Struct, frozen=True, kw_only=True):
    """A mail to one address, and what became of it."""

    id: UUID
    order_id: str | None
    recipient: Annotated[str, Meta(description="The address; masked for those who are no admins.")]
    type: Annotated[str, Meta(examples=["order.created"])]
    event: Annotated[str, Meta(description="The topic or routing key of its event.", examples=["order.created"])]
    event_id: str
    subject: Annotated[str | None, Meta(description="Null if the event lacks what it is made of.")]
    template: str
    user_id: Annotated[str | None, Meta(description="Whose preferences bind.")]
    status: Status
    error_message: Annotated[
        str | None, Meta(description="Why it failed or was skipped, or what the last attempt ran into.")
    ]
    created_at: datetime
    updated_at: datetime
    sent_at: datetime | None
    next_attempt_at: Annotated[datetime | None, Meta(description="When it is tried next; null unless it is pending.")]
    attempts: Annotated[int, Meta(ge=0, description="How often it was tried.")]

    @classmethod
    def of(cls, delivery: Delivery) -> "DeliveryItem":
        return cls(**_about(delivery))


class LoggedAttempt(msgspec.Struct, frozen=True):
    """One try at sending."""

    at: datetime
    seconds: Annotated[float, Meta(description="How long it took.")]
    result: Annotated[
        Result,
        Meta(description="The server has it, may take it later, or never will; or the server itself was the matter."),
    ]
    code: Annotated[int | None, Meta(description="The server's reply code.", examples=[550])]
    text: Annotated[str, Meta(description="The server's last words, or what happened.")]

    @classmethod
    def of(cls, attempt: Attempt) -> "LoggedAttempt":
        return cls(attempt.at, attempt.seconds, attempt.result, attempt.code, attempt.text)


class DeliveryWithAttempts(DeliveryItem, frozen=True, kw_only=True):
    """A delivery with every attempt at it, oldest first."""

    attempt_log: list[LoggedAttempt]

    @classmethod
    def with_log(cls, delivery: Delivery, attempts: Sequence[Attempt]) -> "DeliveryWithAttempts":
        return cls(**_about(delivery), attempt_log=[LoggedAttempt.of(attempt) for attempt in attempts])


class DeliveryList(msgspec.Struct, frozen=True):
    """Deliveries, newest first."""

    items: list[DeliveryItem]
    total: Annotated[int | None, Meta(description="All that are chosen, listed here or not; null by cursor.")]
    page: Annotated[int | None, Meta(description="Null by cursor.")]
    page_size: int
    next_cursor: Annotated[UUID | None, Meta(description="The `cursor` to go on from; null if there are no more.")]

    @classmethod
    def of(cls, listing: Listing, page: int | None, page_size: int) -> "DeliveryList":
        items = [DeliveryItem.of(delivery) for delivery in listing.deliveries]
        return cls(items, listing.total, page, page_size, listing.rest)


def _about(delivery: Delivery) -> dict[str, Any]:
    mail = delivery.mail
    return {
        "id": delivery.id,
        "order_id": mail.reference,
        "recipient": delivery.address,
        "type": mail.type,
        "event": mail.source,
        "event_id": mail.event_id,
        "subject": mail.subject,
        "template": mail.template,
        "user_id": mail.user,
        "status": delivery.status,
        "error_message": delivery.error,
        "created_at": delivery.created_at,
        "updated_at": delivery.updated_at,
        "sent_at": delivery.sent_at,
        "next_attempt_at": delivery.due_at if delivery.status == "pending" else None,
        "attempts": delivery.attempts,
    }
