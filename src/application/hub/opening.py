"""What a session is opened with, and what may follow or befall it."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from application.counters import Counters
from application.hub.frames import Frames
from application.hub.stream_buffer import StreamBuffer
from domain.identity import Identity
from domain.positions import Cursor, ResumePoint
from domain.protocol.herald_v1 import View

if TYPE_CHECKING:
    from application.hub.session import Session


class Gap(Exception):
    """What lies between two positions is kept no more."""

    def __init__(self, stream: str, after: int, upto: int) -> None:
        super().__init__(f"{stream}: {after} to {upto}")
        self.stream = stream
        self.after = after
        self.upto = upto


class ReplacementSession(msgspec.Struct, frozen=True):
    """Who the client of a session turned out to be, where it was nobody, and from where it wants to go on. None: from
    here, if it was sent `hello`, else from now on."""

    identity: Identity
    cursor: str | None = None


class Opening(msgspec.Struct, frozen=True, kw_only=True):
    """All that makes a session what it is. `heartbeat` in seconds; `retry`, in milliseconds, is told to event
    streams; `admits` says whether the session's very streams are what is open to an identity."""

    id: str
    endpoint: str
    identity: Identity
    view: View
    epoch: str
    heartbeat: float
    retry: int
    counters: Counters
    now: Callable[[], datetime]
    fetch: Callable[[StreamBuffer, View, int], Awaitable[Frames]]
    resume: Callable[["Session", Cursor], Awaitable[ResumePoint]]
    admits: Callable[[Identity], bool]
