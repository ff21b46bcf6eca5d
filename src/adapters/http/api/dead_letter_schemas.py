"""Request and response bodies of the operations on dead letters."""

import base64
from contextlib import suppress
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from msgspec import Meta

from adapters.http.api.list_parameters import moment
from application.ingest.handle_dead_letters import Drop, Replay
from application.ports.dead_letters import DeadLetterFilter, KeptDeadLetter
from domain.dead_letter_reasons import REASONS
from domain.storable_text import require_storable

NextCursor = Annotated[
    UUID | None, Meta(description="Pass this as `cursor` in the next request; null if no items remain.")
]


class DeadLetterOut(msgspec.Struct, frozen=True, kw_only=True):
    """A dead letter: an event that could not be processed, and the reason. `kept_at` is the time at which the dead
    letter was first stored; it stays the same if the event is received again and fails again."""

    id: UUID
    kept_at: datetime
    times: Annotated[int, Meta(ge=1, description="How many times the event was received and failed.")]
    source: Annotated[str, Meta(description="The topic or routing key of the event.", examples=["ticket.created"])]
    event_id: str
    reason: Annotated[
        str,
        Meta(
            description=f"Why the event could not be processed, as a stable code: {', '.join(REASONS)}. Later versions"
            " may add others.",
            examples=["no_recipient"],
        ),
    ]
    detail: Annotated[str, Meta(description="Why the event could not be processed, as a sentence.")]
    size: Annotated[int, Meta(ge=0, description="The size of the event's body in bytes.")]

    @classmethod
    def of(cls, kept: KeptDeadLetter) -> "DeadLetterOut":
        return cls(**_about(kept))


class DeadLetterWithMessage(DeadLetterOut, frozen=True, kw_only=True):
    """A dead letter together with the broker message that contained the event: timestamp, key, headers and body."""

    time: Annotated[datetime, Meta(description="The timestamp that the broker gave the message.")]
    key: str | None
    headers: dict[str, str]
    body_base64: Annotated[str | None, Meta(description="The body in Base64; null if the message has no body.")]
    body_text: Annotated[
        str | None, Meta(description="The body as text; null if the message has no body, or if the body is not UTF-8.")
    ]

    @classmethod
    def of(cls, kept: KeptDeadLetter) -> "DeadLetterWithMessage":
        message = kept.letter.message
        body, text = message.body, None
        if body is not None:
            with suppress(UnicodeDecodeError):
                text = body.decode()
        return cls(
            **_about(kept),
            time=message.time,
            key=message.key,
            headers=dict(message.headers),
            body_base64=None if body is None else base64.b64encode(body).decode(),
            body_text=text,
        )


class DeadLetterListMeta(msgspec.Struct, frozen=True):
    """Paging data of a list of dead letters. `total` is the number of dead letters that match the filters, on all pages
    together."""

    next_cursor: NextCursor
    total: int


class DeadLetterList(msgspec.Struct, frozen=True):
    """One page of dead letters, newest first."""

    data: list[DeadLetterOut]
    meta: DeadLetterListMeta


class DeadLetterSelection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Filters of dead letters. A dead letter is selected if it matches all filters that are given. Without any filter,
    all dead letters are selected. `cursor` is the `next_cursor` of the previous response to the same operation: only
    dead letters older than those of that response are selected."""

    source: str | None = None
    reason: str | None = None
    start_date: str | None = None
    end_date: str | None = None
    cursor: UUID | None = None

    @property
    def filter(self) -> DeadLetterFilter:
        """Returns these filters in the form that HandleDeadLetters takes: the dates are parsed to UTC times. Raises
        InvalidInput if a value is invalid."""
        return DeadLetterFilter(
            source=None if self.source is None else require_storable(self.source, "source"),
            reason=None if self.reason is None else require_storable(self.reason, "reason"),
            start=moment(self.start_date, "start_date"),
            end=moment(self.end_date, "end_date", last=True),
        )


class FailedReplay(msgspec.Struct, frozen=True):
    """A dead letter whose event could not be processed in a replay either. `reason` and `detail` say why this time. The
    dead letter stays stored."""

    id: UUID
    reason: str
    detail: str


class Replayed(msgspec.Struct, frozen=True):
    """The result of replaying dead letters: which events were processed, and which failed again."""

    replayed: Annotated[
        list[UUID],
        Meta(description="The ids of the dead letters whose events were processed; these dead letters are removed."),
    ]
    failed: list[FailedReplay]
    next_cursor: NextCursor

    @classmethod
    def of(cls, replay: Replay) -> "Replayed":
        failed = [FailedReplay(failure.id, failure.reason, failure.detail) for failure in replay.failed]
        return cls(list(replay.replayed), failed, replay.rest)


class Dropped(msgspec.Struct, frozen=True):
    """The number of dead letters that were deleted, and how to delete the rest."""

    dropped: Annotated[int, Meta(ge=0, description="The number of dead letters that were deleted.")]
    next_cursor: NextCursor

    @classmethod
    def of(cls, drop: Drop) -> "Dropped":
        return cls(drop.dropped, drop.rest)


def _about(kept: KeptDeadLetter) -> dict[str, Any]:
    letter = kept.letter
    return {
        "id": kept.id,
        "kept_at": kept.kept_at,
        "times": kept.times,
        "source": letter.message.source,
        "event_id": letter.event_id,
        "reason": letter.reason,
        "detail": letter.detail,
        "size": len(letter.message.body or b""),
    }
