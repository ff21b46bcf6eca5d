"""Dead letters as JSON."""

import base64
from contextlib import suppress
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from msgspec import Meta

from adapters.http.api.parameters import moment
from application.ingest.handle_dead_letters import Drop, Replay
from application.ports.dead_letters import DeadLetterFilter, KeptDeadLetter
from domain.storable_text import require_storable

NextCursor = Annotated[
    UUID | None, Meta(description="The `cursor` of the next request; null if there is nothing more.")
]


class DeadLetterOut(msgspec.Struct, frozen=True, kw_only=True):
    """A dead letter."""

    id: UUID
    kept_at: datetime
    times: Annotated[int, Meta(ge=1, description="How often the event was received.")]
    source: Annotated[str, Meta(description="The topic or routing key.", examples=["ticket.created"])]
    event_id: str
    reason: Annotated[str, Meta(description="A stable code.", examples=["no_recipient"])]
    detail: Annotated[str, Meta(description="The reason in a sentence.")]
    size: Annotated[int, Meta(ge=0, description="The size of the body in bytes.")]

    @classmethod
    def of(cls, kept: KeptDeadLetter) -> "DeadLetterOut":
        return cls(**_about(kept))


class DeadLetterWithMessage(DeadLetterOut, frozen=True, kw_only=True):
    """A dead letter with its message as it was received."""

    time: Annotated[datetime, Meta(description="The broker's timestamp.")]
    key: str | None
    headers: dict[str, str]
    body_base64: Annotated[str | None, Meta(description="The body in Base64; null for a record without a body.")]
    body_text: Annotated[str | None, Meta(description="The body as text, if it is UTF-8.")]

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
    """About a list of dead letters. `total` counts all that match the filters, on this page or not."""

    next_cursor: NextCursor
    total: int


class DeadLetterList(msgspec.Struct, frozen=True):
    """Dead letters, newest first."""

    data: list[DeadLetterOut]
    meta: DeadLetterListMeta


class DeadLetterSelection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Filters of dead letters; all that are given must match. `filter` raises InvalidInput."""

    source: str | None = None
    reason: str | None = None
    start_date: str | None = None
    end_date: str | None = None
    cursor: UUID | None = None

    @property
    def filter(self) -> DeadLetterFilter:
        return DeadLetterFilter(
            source=None if self.source is None else require_storable(self.source, "source"),
            reason=None if self.reason is None else require_storable(self.reason, "reason"),
            start=moment(self.start_date, "start_date"),
            end=moment(self.end_date, "end_date", last=True),
        )


class FailedReplay(msgspec.Struct, frozen=True):
    """A dead letter whose event failed again. It is kept."""

    id: UUID
    reason: str
    detail: str


class Replayed(msgspec.Struct, frozen=True):
    """The results of a replay."""

    replayed: Annotated[list[UUID], Meta(description="The dead letters that were processed and removed.")]
    failed: list[FailedReplay]
    next_cursor: NextCursor

    @classmethod
    def of(cls, replay: Replay) -> "Replayed":
        failed = [FailedReplay(failure.id, failure.reason, failure.detail) for failure in replay.failed]
        return cls(list(replay.replayed), failed, replay.rest)


class Dropped(msgspec.Struct, frozen=True):
    """The result of dropping dead letters."""

    dropped: Annotated[int, Meta(ge=0, description="How many were dropped.")]
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
