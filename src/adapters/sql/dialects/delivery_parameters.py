"""Parameters of statements about deliveries that are the same on PostgreSQL and SQLite."""

from datetime import timedelta
from typing import Any, Final

from application.ports.deliveries import Outcome
from domain.deliveries import Delivery
from domain.event_identity import qualified_origin

KEY_COLUMNS: Final = ("channel", "destination", "origin", "event_id")


def qualified_origin_of(made: Delivery) -> str:
    return qualified_origin(made.item.origin, made.item.source)


def outcome_row(outcome: Outcome) -> dict[str, Any]:
    attempt = outcome.attempt
    return {
        "delivery_id": outcome.claim.delivery.id,
        "lease": outcome.claim.lease,
        "status": outcome.status,
        "error_message": outcome.error,
        "retry_in": timedelta(seconds=outcome.retry_in),
        "counts": int(outcome.counts),
        "awaited_peer": outcome.awaited_peer,
        "at": attempt and attempt.at,
        "seconds": attempt and attempt.seconds,
        "result": attempt and attempt.result,
        "code": attempt and attempt.code,
        "reply": attempt and attempt.text,
    }
