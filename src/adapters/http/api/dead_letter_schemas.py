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
from domain.storable import storable

NextCursor = Annotated[UUID | None, Meta(description="The `cursor` to go on from; null if there are no more.")]


class Letter(msgspec.Struct, frozen=True, kw_only=True):
    """A dead letter."""

    id: UUID
    kept_at: datetime
    times: Annotated[int, Meta(ge=1, description="How often its event has come.")]
    source: Annotated[str, Meta(description="The topic or routing key.", examples=["risk-events"])]
    event_id: str
    reason: Annotated[str, Meta(description="A stable code.", examples=["no_recipient"])]
    detail: Annotated[str, Meta(description="The reason, for people.")]
    size: Annotated[int, Meta(ge=0, description="The bytes of its body.")]

    @classmethod
    def of(cls, kept: KeptDeadLetter) -> "Letter":
        return cls(**_about(kept))


class WholeLetter(Letter, frozen=True, kw_only=True):
    """A dead letter with its message, as it came."""

    time: Annotated[datetime, Meta(description="The broker's time stamp.")]
    key: str | None
    headers: dict[str, str]
    body_base64: Annotated[str | None, Meta(description="The bytes; null for a record without a body.")]
    body_text: Annotated[str | None, Meta(description="The same as text, if it is UTF-8.")]

    @classmethod
    def of(cls, kept: KeptDeadLetter) -> "WholeLetter":
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


class LetterListMeta(msgspec.Struct, frozen=True):
    """About a list of dead letters. `total` counts all that are chosen, listed here or not."""

    next_cursor: NextCursor
    total: int


class LetterList(msgspec.Struct, frozen=True):
    """Dead letters, newest first."""

    data: list[Letter]
    meta: LetterListMeta


class ChosenLetters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which dead letters are meant; what is left out does not matter. Raises InvalidInput when it is looked at."""

    source: str | None = None
    reason: str | None = None
    start_date: str | None = None
    end_date: str | None = None
    cursor: UUID | None = None

    @property
    def filter(self) -> DeadLetterFilter:
        return DeadLetterFilter(
            source=None if self.source is None else storable(self.source, "source"),
            reason=None if self.reason is None else storable(self.reason, "reason"),
            start=moment(self.start_date, "start_date"),
            end=moment(self.end_date, "end_date", last=True),
        )


class FailedLetter(msgspec.Struct, frozen=True):
    """A letter whose event could not be processed this time either. It stays."""

    id: UUID
    reason: str
    detail: str


class Replayed(msgspec.Struct, frozen=True):
    """What became of the letters."""

    replayed: Annotated[list[UUID], Meta(description="Those that led to something, and are gone.")]
    failed: list[FailedLetter]
    next_cursor: NextCursor

    @classmethod
    def of(cls, replay: Replay) -> "Replayed":
        failed = [FailedLetter(one.id, one.reason, one.detail) for one in replay.failed]
        return cls(list(replay.replayed), failed, replay.rest)


class Dropped(msgspec.Struct, frozen=True):
    """What was dropped."""

    dropped: Annotated[int, Meta(ge=0, description="How many.")]
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
